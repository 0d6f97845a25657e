/*
 * protocol.pml
 *	  A model of the protocol by which readers get a key without a lock, for spin.
 *
 * One shard, and one key of it: one or two READERS that get it once, and a writer (writers take
 * turns by a lock) that does up to OPS of these: puts it, anew or in place, and if it is a new
 * key into dirty or into read, as promote_ratio wants it at the moment; deletes it;
 * promotes; grows; moves its entry, as compaction does; moves its slot to the front of its
 * chain, as the removal of another key does; clears the shard; drops the map, after which
 * another map has the shard and puts the same key; and gives free memory to somebody who
 * writes what he likes into it.  Memory is reused as soon as it is free.
 *
 * What is asserted when a get returns:
 *	  R1 its value is whole, and was the key's;
 *	  R2 it was so at a moment during the get, in one order for both readers; and a key
 *		 that was there throughout is found;
 *	  R5 nothing of it is of memory that had been given to somebody else.
 * The value of anybody else is FOREIGN, half of one value and half of another TORN.
 *
 * Each load and store of shared memory is a step, and steps are seen in their order: what
 * fences are for is told in src/engine, and tried by the explorer and by ThreadSanitizer.
 * run_model verifies the model, and that each mistake that can be made in it (-D) is found.
 */

#ifndef OPS
#define OPS 3
#endif
#ifndef READERS
#define READERS 1
#endif

#define ABSENT	0
#define TORN	6
#define FOREIGN 7
#define VALUES	3 /* that are put, after the first */

#define BUCKETS 3
#define ENTRIES 2
#define OTHERS	3 /* an entry of somebody else, for the same key */

/* Shared memory: buckets with a chain of two slots, one of which is an entry or none is;
 * entries with the key and the two halves of its value.  The bucket 0 is none. */
byte version[BUCKETS + 1];
byte slot[BUCKETS + 1];
byte last[BUCKETS + 1];
bool has_key[ENTRIES + 2];
byte low[ENTRIES + 2];
byte high[ENTRIES + 2];

#define IN(bucket) (slot[bucket] + last[bucket])

/* The words: a bucket, and the generation above it. */
#define ROOT(word) ((word) & 3)
byte read;
byte dirty;
byte id = 1;

/* The writer's own. */
bool bucket_used[BUCKETS + 1];
bool entry_used[ENTRIES + 2];
byte generation;
byte last_value;

/* What holds: the value, and in a write the one before; was the new one seen by now? */
byte value;
byte before;
bool writing;
bool seen;

/* For each reader, while it reads: the values that it may return, a bit each; and whether
 * the one that is being written is among them for no other reason. */
bool reading[2];
byte allowed[2];
bool only_now[2];
bool started;

/* ---- the writer ---- */

inline allow(r, new)
{
	if
	:: reading[r] ->
		only_now[r] = !(allowed[r] & (1 << new));
		allowed[r] = allowed[r] | (1 << new)
	:: else
	fi
}

inline begin_write(new)
{
	atomic {
		before = value;
		value = new;
		writing = true;
		seen = false;
		allow(0, new);
		allow(1, new)
	}
}

inline end_write()
{
	atomic { writing = false; before = value }
}

inline take_bucket(b)
{
	atomic {
		if
		:: !bucket_used[1] -> b = 1
		:: !bucket_used[2] -> b = 2
		:: !bucket_used[3] -> b = 3
		fi;
		bucket_used[b] = true;
		version[b] = 0;
		slot[b] = 0;
		last[b] = 0
	}
}

/* An entry that nobody knows yet. */
inline take_entry(e, v)
{
	atomic {
		if
		:: !entry_used[1] -> e = 1
		:: !entry_used[2] -> e = 2
		fi;
		entry_used[e] = true;
		has_key[e] = true;
		low[e] = v
	}
	high[e] = v
}

inline begin_version(b)
{
	version[b] = version[b] + 1
}

inline end_version(b)
{
	version[b] = version[b] + 1
}

inline set_slot(b, e)
{
#ifndef SLOT_UNVERSIONED
	begin_version(b);
#endif
	atomic {
		if
		:: last[b] != 0 -> last[b] = e
		:: last[b] == 0 -> slot[b] = e
		:: IN(b) == 0 && e != 0 -> last[b] = e
		fi
	}
#ifndef SLOT_UNVERSIONED
	end_version(b)
#endif
}

/* From the end of its chain to the front. */
inline move_forward(b)
{
#ifndef FORWARD_UNVERSIONED
	begin_version(b);
#endif
	slot[b] = last[b];
	last[b] = 0;
#ifndef FORWARD_UNVERSIONED
	end_version(b)
#endif
}

inline publish(word, b)
{
	atomic {
#ifndef GENERATION_KEPT
		generation++;
#endif
		word = b + 4 * generation
	}
}

/* The index that has the key, or ABSENT. */
inline find(b)
{
	atomic {
		if
		:: IN(ROOT(read)) != 0 -> b = ROOT(read)
		:: IN(ROOT(read)) == 0 && IN(ROOT(dirty)) != 0 -> b = ROOT(dirty)
		:: else -> b = 0
		fi
	}
}

inline move_slot(from, to)
{
#ifdef CLEARED_BEFORE_PLACED
	e = IN(from);
	set_slot(from, 0);
	set_slot(to, e);
#else
	set_slot(to, IN(from));
	set_slot(from, 0);
#endif
	e = 0
}

/* Puts a value: in the place of the one before, or as a new entry. */
inline put(v)
{
	find(b);
	if
	:: b == 0 ->
		if
		:: ROOT(dirty) == 0 -> take_bucket(b); publish(dirty, b)
		:: ROOT(dirty) != 0 -> b = ROOT(dirty)
		:: ROOT(read) == 0 -> take_bucket(b); publish(read, b)
		:: ROOT(read) != 0 -> b = ROOT(read)
		fi;
		take_entry(e, v);
		set_slot(b, e)
	:: b != 0 ->
		e = IN(b);
#ifndef OVERWRITE_UNVERSIONED
		begin_version(b);
#endif
		low[e] = v;
		high[e] = v;
#ifndef OVERWRITE_UNVERSIONED
		end_version(b)
#endif
	:: b != 0 && (!entry_used[1] || !entry_used[2]) ->
		f = IN(b);
		take_entry(e, v);
		set_slot(b, e);
		entry_used[f] = false
	fi
}

/* The words first, then the memory. */
inline clear()
{
	atomic { b = ROOT(read); e = IN(b); f = ROOT(dirty) }
	publish(read, 0);
#ifndef DIRTY_KEPT_BY_CLEAR
	publish(dirty, 0);
#endif
	atomic {
		if :: e == 0 -> e = IN(f) :: else fi;
		bucket_used[b] = false;
		bucket_used[f] = false;
		entry_used[e] = false
	}
}

proctype writer()
{
	byte ops;
	byte b;
	byte e;
	byte f;

	do
	:: ops < OPS -> ops++;
		if
		:: last_value < VALUES && id == 1 ->
			last_value++;
			begin_write(last_value);
			put(last_value);
			end_write()
		:: value != ABSENT ->
			begin_write(ABSENT);
			find(b);
			e = IN(b);
			set_slot(b, 0);
			entry_used[e] = false;
			end_write()
		:: IN(ROOT(dirty)) != 0 -> /* promote */
			if
			:: ROOT(read) == 0 -> take_bucket(b); publish(read, b)
			:: else
			fi;
			move_slot(ROOT(dirty), ROOT(read))
		:: ROOT(read) != 0 && IN(ROOT(dirty)) == 0 -> /* grow */
			take_bucket(b);
			f = ROOT(dirty);
			publish(dirty, b);
			bucket_used[f] = false;
			f = ROOT(read);
			if
			:: IN(f) != 0 -> move_slot(f, b)
			:: else
			fi;
#ifdef DIRTY_GONE_BEFORE_READ_IS_THERE
			publish(dirty, 0);
			publish(read, b);
#else
			publish(read, b);
			publish(dirty, 0);
#endif
			bucket_used[f] = false
		:: value != ABSENT && (!entry_used[1] || !entry_used[2]) -> /* compact */
			find(b);
			f = IN(b);
			take_entry(e, value);
			set_slot(b, e);
			entry_used[f] = false
		:: last[ROOT(read)] != 0 -> move_forward(ROOT(read))
		:: last[ROOT(dirty)] != 0 -> move_forward(ROOT(dirty))
		:: ROOT(read) != 0 || ROOT(dirty) != 0 ->
			begin_write(ABSENT);
			clear();
			end_write()
		:: id == 1 -> /* drop */
			begin_write(ABSENT);
			id = 0;
			clear();
			end_write();
			/* another map comes, and puts the same key */
			id = 2;
			take_bucket(b);
			publish(dirty, b);
			set_slot(b, OTHERS);
			ops = OPS
		:: !bucket_used[1] || !bucket_used[2] || !bucket_used[3] ->
			/* somebody else's memory, and his version */
			take_bucket(b);
			slot[b] = OTHERS;
			if
			:: version[b] = 2
			:: version[b] = 4
			:: skip
			fi;
			bucket_used[b] = false
		:: !entry_used[1] || !entry_used[2] ->
			take_entry(e, FOREIGN);
			entry_used[e] = false
		fi;
		atomic { b = 0; e = 0; f = 0 }
	:: break
	od
}

/* ---- a reader ---- */

/* Looks at an index: its word, and the version of its bucket, which must be even. */
inline look(where, word, was)
{
	word = where;
	atomic {
		was = version[ROOT(word)];
#ifndef ODD_ACCEPTED
		if :: was % 2 == 1 -> goto again :: else fi
#endif
	}
}

/* The version, then the word, then the id: see validate in shard_read.c. */
inline validate(where, word, was)
{
#ifdef WORD_BEFORE_VERSION
	atomic { if :: where != word -> goto again :: else fi };
#endif
#ifndef VERSION_UNCHECKED
	atomic { if :: version[ROOT(word)] != was -> goto again :: else fi };
#endif
#if !defined(WORD_BEFORE_VERSION) && !defined(WORD_UNCHECKED)
	atomic { if :: where != word -> goto again :: else fi };
#endif
#ifndef ID_UNCHECKED
	atomic { if :: id != 1 -> goto gone :: else fi }
#endif
}

/* Copies the value of a slot, if it leads to the key. */
inline follow(place, where, word, was)
{
	at = place;
	if
	:: atomic { at != 0 && has_key[at] -> result = low[at] }
		atomic {
			if :: high[at] != result -> result = TORN :: else fi;
			at = 0
		}
#ifndef HIT_UNVALIDATED
		validate(where, word, was);
#endif
		goto done
	:: else
	fi
}

inline search(where, word, was)
{
	follow(slot[ROOT(word)], where, word, was);
	follow(last[ROOT(word)], where, word, was)
}

proctype reader(byte me)
{
	byte read_word;
	byte read_version;
	byte dirty_word;
	byte dirty_version;
	byte at;
	byte result;

	atomic {
		me == 0 || started; /* the readers are alike */
		started = true;
		reading[me] = true;
		allowed[me] = 1 << value;
		only_now[me] = writing;
		if :: writing && !seen -> allowed[me] = allowed[me] | (1 << before) :: else fi
	}
again:
	atomic { read_word = 0; read_version = 0; dirty_word = 0; dirty_version = 0; at = 0; result = 0 }
	look(read, read_word, read_version);
	search(read, read_word, read_version);
#ifndef DIRTY_NOT_LOOKED_AT
	look(dirty, dirty_word, dirty_version);
	search(dirty, dirty_word, dirty_version);
#endif
#if !defined(DIRTY_UNVALIDATED) && !defined(DIRTY_NOT_LOOKED_AT)
	validate(dirty, dirty_word, dirty_version);
#endif
#ifndef READ_UNVALIDATED
	validate(read, read_word, read_version);
#endif
done:
	atomic {
		assert(result != TORN);				   /* R1 */
		assert(result != FOREIGN);			   /* R1, R5 */
		assert(allowed[me] & (1 << result));   /* R2 */
		if :: writing && result == value && only_now[me] -> seen = true :: else fi
	}
gone:
	atomic {
		reading[me] = false;
		allowed[me] = 0;
		only_now[me] = false;
		read_word = 0; read_version = 0; dirty_word = 0; dirty_version = 0; at = 0; result = 0
	}
}

init
{
	atomic {
		has_key[OTHERS] = true;
		low[OTHERS] = FOREIGN;
		high[OTHERS] = FOREIGN;
		/* empty, or with the key in read */
		if
		:: skip
		:: read = 1;
			bucket_used[1] = true;
			slot[1] = 1;
			entry_used[1] = true;
			has_key[1] = true;
			low[1] = 1;
			high[1] = 1;
			last_value = 1;
			value = 1;
			before = 1
		fi;
		run writer();
		run reader(0);
#if READERS == 2
		run reader(1)
#endif
	}
}
