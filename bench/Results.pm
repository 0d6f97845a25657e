# Results.pm
#	  What the reports of bench/*/report share: reading results, medians, ratios, plots.
#
# A layer's results are bench/results/LAYER.json: a line with the machine, the versions, and
# the settings, then a line a measurement, which names its round.  What is compared is
# compared within a round: a ratio is the median of the rounds' ratios, and is told with the
# least and the greatest of them.
package Results;

use strict;
use warnings;
use Exporter 'import';
use FindBin;
use JSON::PP;

our @EXPORT = qw(read_results write_page median ratio ratio_text thousands figure machine row heading bars curves);

my $folder = $ENV{SYNCMAP_RESULTS} // "$FindBin::RealBin/" . ($FindBin::RealBin =~ m{/bench$} ? 'results' : '../results');

# read_results(LAYER): the header and the measurements, in the order in which they were taken
sub read_results
{
	my ($layer) = @_;

	open(my $in, '<', "$folder/$layer.json") or die "$folder/$layer.json: $!\n";
	return map { decode_json($_) } <$in>;
}

sub write_page
{
	my ($layer, $text) = @_;

	open(my $out, '>', "$folder/$layer.md") or die "$folder/$layer.md: $!\n";
	print $out $text;
	close $out or die "$folder/$layer.md: $!\n";
	print "$folder/$layer.md\n";
}

sub median
{
	my @sorted = sort { $a <=> $b } @_;

	return ($sorted[ $#sorted / 2 ] + $sorted[ @sorted / 2 ]) / 2;
}

# ratio(A, B): of two hashes of figures by round: median, least, greatest; () without a
# round that both have
sub ratio
{
	my ($over, $under) = @_;
	my @ratios = sort { $a <=> $b }
		map { $over->{$_} / $under->{$_} } grep { $under->{$_} } keys %$over;

	return @ratios ? (median(@ratios), $ratios[0], $ratios[-1]) : ();
}

sub ratio_text
{
	my @ratio = ratio(@_);

	return @ratio ? sprintf('%s (%s to %s)', map { figure($_) } @ratio) : '';
}

sub thousands
{
	my $n = reverse sprintf '%.0f', $_[0];

	$n =~ s/(\d{3})(?=\d)/$1,/g;
	return scalar reverse $n;
}

# three digits that count
sub figure
{
	my ($n) = @_;

	return $n >= 100 ? thousands($n) : sprintf($n >= 10 ? '%.1f' : '%.2f', $n);
}

# of a table in Markdown
sub row { return '| ' . join(' | ', @_) . " |\n"; }
sub heading { return row(@_) . '|' . '---|' x @_ . "\n"; }

# a header in words: where and when it was measured, and with what
sub machine
{
	my ($header) = @_;
	my %rest = %$header;
	my @first = delete @rest{qw(date machine)};
	my @words = map { "$_ $rest{$_}" } sort grep { !ref $rest{$_} } keys %rest;

	return "Measured on $first[0], $first[1]; " . join(', ', @words) . ".\n";
}

# plot(NAME, WIDTH, COMMANDS, DATA): bench/results/NAME.svg by gnuplot
sub plot
{
	my ($name, $width, $commands, $data) = @_;

	open(my $gnuplot, '|-', 'gnuplot') or die "gnuplot: $!\n";
	print $gnuplot "set terminal svg size $width,360 font 'sans-serif,12' background 'white'\n",
		"set output '$folder/$name.svg'\n", "set style fill solid\nset border 3\nset tics nomirror\n",
		"set grid ytics lc rgb '#dddddd'\nset key outside right top\n", $commands, "\$data << EOD\n${data}EOD\n";
	my @colours = ('#2060a0', '#d07020', '#309050', '#a04080', '#707070', '#c0a020', '#40a0b0', '#804020', '#103050');
	print $gnuplot map { sprintf "set linetype %d lc rgb '%s' lw 2\n", $_ + 1, $colours[$_] } 0 .. $#colours;
	return $gnuplot;
}

sub quoted { return '"' . ($_[0] =~ s/"/'/gr) . '"'; }

# bars(NAME, TITLE, UNIT, GROUPS, SERIES, VALUE): a group of bars for each of GROUPS, a
# colour for each of SERIES; VALUE->(group, series) is a number, or undef
sub bars
{
	my ($name, $title, $unit, $groups, $series, $value) = @_;
	my $data = join '', map
	{
		my $group = $_;
		join(' ', quoted($group), map { $value->($group, $_) // '?' } @$series) . "\n";
	} @$groups;
	my $gnuplot = plot($name, 240 + 140 * @$groups, 'set title ' . quoted($title) . "\nset ylabel " . quoted($unit)
			. "\nset style data histogram\nset style histogram clustered gap 1\nset boxwidth 0.9\nset yrange [0:*]\nset datafile missing '?'\n", $data);

	print $gnuplot 'plot ', join(', ', map { "\$data using " . ($_ + 2) . ($_ ? '' : ':xtic(1)') . ' title ' . quoted($series->[$_]) } 0 .. $#$series), "\n";
	close $gnuplot or die "gnuplot failed\n";
}

# curves(NAME, TITLE, X, Y, SERIES, LOG): lines of points, SERIES a list of [title, [[x, y], ...]];
# LOG: axes that are logarithmic, 'x', 'y', 'xy', or ''
sub curves
{
	my ($name, $title, $x, $y, $series, $log) = @_;
	my $data = join "\n\n", map { join '', map { "$_->[0] $_->[1]\n" } @{ $_->[1] } } @$series;
	my $gnuplot = plot($name, 720, 'set title ' . quoted($title) . "\nset xlabel " . quoted($x) . "\nset ylabel " . quoted($y) . "\n"
			. ($log ? "set logscale $log\n" : '') . ($log =~ /y/ ? '' : "set yrange [0:*]\n"), "$data\n");

	print $gnuplot 'plot ', join(', ', map { "\$data index $_ using 1:2 with linespoints pt 7 ps 0.6 title " . quoted($series->[$_][0]) } 0 .. $#$series), "\n";
	close $gnuplot or die "gnuplot failed\n";
}

1;
