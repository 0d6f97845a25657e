/*
 * snapshot.pml
 *	  Consistent snapshots of a map of shards: writers that keep what they change, and
 *	  two owners.  See "Snapshots" in src/README.md, and src/engine/shard_snapshot.c.
 *
 * Each shard holds one key with a number.  One writer gives the keys their numbers in
 * turn, so at no moment is a key ahead of one before it: what a snapshot holds must be
 * the same.  What is done under a shard's lock is one step, since nobody looks without
 * it, but a reader, who sees the key before that step or after it.  The lock itself
 * is modelled where a snapshot is opened, which takes one after the other.
 *
 * Each owner takes a snapshot, closes it, and takes another.  One that finds it lost
 * gives it up; what is there when memory is short (LOSES) may be lost at any time.
 * Destroying the map and making it anew would be another id, which the model of the
 * protocol (protocol.pml) has.
 *
 * Mistakes, each of which must break an assertion:
 *	  NO_OWNER		  another snapshot is refused only while a shard keeps something
 *					  or is going to, and who closes it is not asked
 *	  CLEARED_FIRST	  close says first that there is no owner any more, and then clears
 *	  PIECEMEAL		  the locks are not held all at once where a snapshot is opened
 *	  NOT_KEPT		  a writer does not keep what it changes
 *	  KEPT_LATE		  a writer keeps a key after it has changed it
 *	  KEPT_TWICE	  a key that was kept is kept again
 *	  CHANGES_FIRST	  an owner takes what was kept, and then reads the shard
 */

#define SHARDS 2
#define OWNERS 2
#ifndef WRITES
#define WRITES 2 /* of each key */
#endif
#ifndef TURNS
#define TURNS 2 /* of each owner */
#endif

#define NONE 15
#define FREE 15

byte key[SHARDS];
bool open[SHARDS];	 /* are changes to be kept? */
byte kept[SHARDS];	 /* what the key was, or NONE */
bool lost[SHARDS];
byte lock[SHARDS];	 /* the owner that holds it while it opens, or FREE */
byte owner;			 /* a ticket, or 0 */
byte tickets;

inline give_up(s)
{
	open[s] = false;
	lost[s] = true
}

inline keep(s, value)
{
	if
#ifdef KEPT_TWICE
	:: open[s] -> kept[s] = value
#else
	:: open[s] && kept[s] == NONE -> kept[s] = value
#endif
	:: else
	fi
}

proctype Writer()
{
	byte n = 1;
	byte s;
	byte was;

	do
	:: n > WRITES -> break
	:: else ->
		s = 0;
		do
		:: s == SHARDS -> break
		:: else ->
			d_step {
				lock[s] == FREE ->
#ifdef KEPT_LATE
				key[s] = n;
				keep(s, key[s]);
#else
#ifndef NOT_KEPT
				keep(s, key[s]);
#endif
				key[s] = n;
#endif
				was = 0
			}
			s++
		od;
		n++
	od
}

/* Somebody needs memory: what is kept is given up. */
proctype Loser()
{
	byte s = 0;

	do
	:: s == SHARDS -> break
	:: else ->
		if
		:: d_step {
			lock[s] == FREE ->
			if
			:: open[s] || kept[s] != NONE -> give_up(s); kept[s] = NONE
			:: else
			fi
		   }
		:: skip
		fi;
		s++
	od
}

#ifdef NO_OWNER
#define IS_MINE true
#else
#define IS_MINE (owner == ticket)
#endif

proctype Owner(byte self)
{
	byte turn = 0;
	byte s;
	byte ticket;
	bool refused;
	bool failed;
	byte found[SHARDS];

	do
	:: turn == TURNS -> break
	:: else ->
		turn++;

		/* open: all locks, in ascending order */
		refused = false;
		ticket = 0;
		s = 0;
#ifdef PIECEMEAL
		d_step {
			if
			:: owner != 0 -> refused = true
			:: else -> tickets++; ticket = tickets; owner = ticket
			fi
		}
		do
		:: s == SHARDS || refused -> break
		:: else ->
			d_step { lock[s] == FREE -> open[s] = true }
			s++
		od;
#else
		do
		:: s == SHARDS -> break
		:: else ->
			d_step { lock[s] == FREE -> lock[s] = self }
			s++
		od;
		skip; /* a loop may not end in a d_step */
		d_step {
			s = 0;
#ifdef NO_OWNER
			do
			:: s == SHARDS -> break
			:: else ->
				if
				:: open[s] || lost[s] || kept[s] != NONE -> refused = true
				:: else
				fi;
				s++
			od;
#else
			if
			:: owner != 0 -> refused = true
			:: else
			fi;
#endif
			if
			:: refused
			:: else -> tickets++; ticket = tickets; owner = ticket
			fi;
			s = 0
		}
		do
		:: s == SHARDS -> break
		:: else ->
			d_step {
				if
				:: refused
				:: else -> open[s] = true
				fi;
				lock[s] = FREE
			}
			s++
		od;
#endif
		if
		:: refused -> goto again
		:: else
		fi;

		/* each shard: as it is, and then what was kept of it */
		failed = false;
		s = 0;
		do
		:: s == SHARDS || failed -> break
		:: else ->
#ifndef CHANGES_FIRST
			found[s] = key[s];
#endif
			d_step {
				lock[s] == FREE ->
				if
				:: IS_MINE -> open[s] = false
				:: else -> failed = true
				fi
			}
			d_step {
				lock[s] == FREE ->
				if
				:: !IS_MINE || lost[s] -> failed = true
				:: else ->
					if
					:: kept[s] != NONE -> found[s] = kept[s]
#ifdef CHANGES_FIRST
					:: else -> found[s] = NONE
#else
					:: else
#endif
					fi
				fi
			}
#ifdef CHANGES_FIRST
			if
			:: !failed && found[s] == NONE -> found[s] = key[s]
			:: else
			fi;
#endif
			s++
		od;

		/* close: the first shard last, and the owner with it */
#ifdef CLEARED_FIRST
		owner = 0;
#endif
		s = SHARDS;
		do
		:: s == 0 -> break
		:: else ->
			s--;
			d_step {
				lock[s] == FREE ->
				if
#ifdef CLEARED_FIRST
				:: true ->
#else
				:: IS_MINE ->
#endif
					open[s] = false;
					lost[s] = false;
					kept[s] = NONE;
#ifndef CLEARED_FIRST
					if
					:: s == 0 -> owner = 0
					:: else
					fi
#endif
				:: else
				fi
			}
		od;

		/* at its moment no key was ahead of one before it, nor behind by more than one */
		skip;
		d_step {
			if
			:: failed
			:: else ->
				assert(found[0] >= found[1]);
				assert(found[0] <= found[1] + 1)
			fi;
			failed = false;
			found[0] = 0;
			found[1] = 0
		}
again:
		skip
	od
}

init
{
	byte s = 0;

	atomic {
		do
		:: s == SHARDS -> break
		:: else -> kept[s] = NONE; lock[s] = FREE; s++
		od;
		run Writer();
		s = 0;
		do
		:: s == OWNERS -> break
		:: else -> run Owner(s); s++
		od;
#ifdef LOSES
		run Loser()
#endif
	}
	/* in the end nothing is kept, and nobody is the owner */
	_nr_pr == 1;
	assert(owner == 0);
	for (s : 0 .. SHARDS - 1) {
		assert(!open[s] && kept[s] == NONE && !lost[s])
	}
}
