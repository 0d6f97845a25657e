# wordnet.awk
#	  Turns WordNet's database into rows for COPY: number, lemma, glosses.
#
# Usage: awk -f wordnet.awk data.noun index.noun data.verb index.verb ...
#
# wndb(5) tells the format.  A line of data.* starts with the synset's offset
# and ends with "| gloss"; a line of index.* is a lemma, its part of speech,
# the number of its synsets, and more, and ends with their offsets.  Lines
# that start with a space are the licence.

FNR == 1 {
	part = FILENAME
	sub(/^.*\./, "", part)
	is_index = FILENAME ~ /index\.[a-z]+$/
}

/^ / {
	next
}

is_index {
	if (!($1 in value))
		lemma[++n] = $1
	for (i = NF - $3 + 1; i <= NF; i++)
	{
		before = value[$1]
		value[$1] = (before == "" ? "" : before " | ") gloss[part, $i]
	}
	next
}

{
	text = substr($0, index($0, "| ") + 2)
	sub(/ +$/, "", text)
	gloss[part, $1] = part ": " escaped(text)
}

END {
	for (i = 1; i <= n; i++)
	{
		key = lemma[i]
		gsub(/_/, " ", key)
		printf "%d\t%s\t%s\n", i, escaped(key), value[lemma[i]]
	}
}

function escaped(string)
{
	gsub(/\\/, "&&", string)
	gsub(/\t/, "\\t", string)
	return string
}
