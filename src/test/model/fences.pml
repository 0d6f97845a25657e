/*
 * fences.pml
 *	  A map beside tables: transactions that fence what they make old, and fills whose
 *	  snapshots decide.  See "Beside tables" in src/README.md, src/noted.c, src/ended.c,
 *	  src/moment.c, and src/engine/shard_fence.c.
 *
 * One row and its cached value, in a stripe that has one place for a fence, so that there is
 * none left as soon as there are two; and a stripe of all keys, which has one as well.  A
 * value is the set of the visible transactions that had changed the row when it was computed.
 * Transactions change the row, or another row of the stripe, or all, or how the map is
 * watched.  Each may have changed the row before there was a map, and noted nothing; each
 * may commit, abort, or be prepared first.
 *
 * A transaction publishes its number before it fences anything, and takes it back when it
 * has ended.  Whoever finds no place reads under the lock which numbers are published: all
 * that has fenced below the least of them has ended, and is forgotten.  A prepared
 * transaction has no place to publish in: of these one number stands for all.
 *
 * What is held under the shard's lock is one step, but the reading of what is published,
 * since that changes without the lock.  Nothing has to go on for ever: that a transaction
 * stays open is the case in which its process does nothing more.
 *
 * C1, C2, and C3 are asked when a value is stored, and when a transaction becomes visible:
 * what is there is what a snapshot of that moment would compute.  C4 is asked of a hit that
 * a snapshot covers.
 *
 * Mistakes, each of which must break an assertion:
 *	  NO_FENCE			  an invalidation leaves no fence
 *	  FENCED_LATE		  a transaction fences after its commit
 *	  NO_HORIZON		  a fence that is pushed out is forgotten
 *	  UNLOCKED_FILL		  a fill asks under one hold of the lock, and stores under another
 *	  SCANNED_UNLOCKED	  who fences reads what is published before he has the lock
 *	  PUBLISHED_LATE	  a transaction publishes its number after its fence
 *	  CLEARED_EARLY		  it takes it back before it has ended
 *	  PREPARED_FORGOTTEN  nobody asks for prepared transactions
 *	  PREPARED_LATE		  a transaction that is prepared takes its number back first, and
 *						  says then that there is one
 *	  PREPARED_FIRST	  whoever fences asks for prepared ones before he reads the others
 *	  ENDED_BELIEVED	  whoever finds no place believes that all have ended
 *	  HORIZON_FORGOTTEN   he forgets the stripe's horizon, whatever it is
 *	  WHOLE_FORGOTTEN	  he forgets that of the map as he does that of the stripe
 *	  WATCHED_OWN_ID	  who changes the watch makes it his number, not the last one given
 *	  HORIZON_ZERO		  a map that is made has none
 *	  ASKED_FIRST		  a hit is copied after its coverage was asked for (C4)
 *	  LEASE_LATE		  a lease is taken after what it is for was read
 *	  OWN_HIT			  a transaction sees the cached value of what it has changed (C2)
 *	  OWN_STORED		  it stores what it has changed itself (C2)
 */

#ifndef WRITERS
#define WRITERS 3
#endif
#ifndef READERS
#define READERS 1
#endif

/* FEW: only rows are changed, and nobody is prepared */

#define BIT(id) (1 << (id))

/* what a transaction changes */
#define ROW		0
#define OTHER	1 /* another row of the stripe */
#define ALL		2
#define WATCH	3 /* and all with it */

/* the server's */
byte next = 1; /* the number of the next transaction */
byte running;  /* sets are of bits */
byte row;	   /* the transactions that have changed it and are visible */

/* the transactions', without a lock */
byte published;
byte prepared; /* the greatest that was ever prepared with fences */

/* the map's, under the lock */
bool held;
bool there;	  /* there is a map, and it is watched */
byte whole;		 /* its horizon */
byte horizon[2]; /* those of the stripes: of the row, and of all */
byte fence[2];	 /* their places; 0: free */
bool filled;	 /* there is a value */
byte value;

inline take_least(set, otherwise, result)
{
	if
	:: set & BIT(1) -> result = 1
	:: !(set & BIT(1)) && (set & BIT(2)) -> result = 2
	:: !(set & (BIT(1) | BIT(2))) && (set & BIT(3)) -> result = 3
	:: !(set & (BIT(1) | BIT(2) | BIT(3))) && (set & BIT(4)) -> result = 4
	:: else -> result = otherwise
	fi
}

/* What is there is what a snapshot of now would compute. */
inline check_value()
{
	assert(!filled || (row & ~value) == 0); /* C1, C3 */
	assert(!filled || (value & ~row) == 0); /* C2 */
}

/* ---- transactions ---- */

inline ask_prepared()
{
	d_step {
		if
		:: prepared >= xmin && xmin < ended -> ended = xmin
		:: else
		fi
	}
}

/* Below ended all that has fenced has ended. */
inline read_published()
{
	ended = id;
#ifdef PREPARED_FIRST
	ask_prepared();
#endif
	todo = BIT(id) - 2;
	do
	:: todo == 0 -> break
	:: d_step { todo & BIT(1) -> todo = todo & ~BIT(1);
		if
		:: (published & BIT(1)) && ended > 1 -> ended = 1
		:: else
		fi }
	:: d_step { todo & BIT(2) -> todo = todo & ~BIT(2);
		if
		:: (published & BIT(2)) && ended > 2 -> ended = 2
		:: else
		fi }
	:: d_step { todo & BIT(3) -> todo = todo & ~BIT(3);
		if
		:: (published & BIT(3)) && ended > 3 -> ended = 3
		:: else
		fi }
	od;
#if !defined(PREPARED_FORGOTTEN) && !defined(PREPARED_FIRST)
	ask_prepared();
#endif
#ifdef ENDED_BELIEVED
	ended = id;
#endif
	skip
}

inline forget(number)
{
	if
	:: number < ended -> number = 0
	:: else
	fi
}

inline raise(number, to)
{
	if
	:: number < to -> number = to
	:: else
	fi
}

/* Fences a stripe, and takes the pair out. */
inline fence_stripe(stripe)
{
	if
	:: id > whole && fence[stripe] != 0 ->
#ifndef SCANNED_UNLOCKED
		read_published();
#endif
		d_step {
			forget(fence[stripe]);
#ifdef HORIZON_FORGOTTEN
			horizon[stripe] = 0;
#else
			forget(horizon[stripe]);
#endif
#ifdef WHOLE_FORGOTTEN
			forget(whole);
#endif
			ended = 0
		}
	:: else
	fi;
	d_step {
#ifndef NO_FENCE
		if
		:: id <= whole
		:: id > whole && fence[stripe] > id ->
#ifndef NO_HORIZON
			raise(horizon[stripe], id)
#endif
		:: else ->
#ifndef NO_HORIZON
			raise(horizon[stripe], fence[stripe]);
#endif
			fence[stripe] = id
		fi;
#endif
		if
		:: touches != OTHER -> filled = false; value = 0
		:: else
		fi;
		ended = 0;
		held = false
	}
}

/* Before the commit record, and before PREPARE. */
inline fence_noted()
{
#ifndef PUBLISHED_LATE
	published = published | BIT(id);
#endif
#ifdef SCANNED_UNLOCKED
	read_published();
#endif
	atomic {
		!held;
		if
		:: there || touches == WATCH -> held = true
		:: else -> goto fenced /* there is no map */
		fi
	}
	if
	:: touches <= OTHER -> fence_stripe(0)
	:: else ->
		d_step {
			if
			:: touches == WATCH ->
				there = true;
#ifdef WATCHED_OWN_ID
				raise(whole, id)
#else
				raise(whole, next - 1)
#endif
			:: else
			fi
		}
		fence_stripe(1)
	fi;
fenced:
#ifdef PUBLISHED_LATE
	published = published | BIT(id);
#endif
	skip
}

inline take_back()
{
	published = published & ~BIT(id)
}

proctype Writer(byte id)
{
	byte touches;
	bool noted;
	byte xmin; /* of its snapshot */
	byte ended;
	byte todo;
	byte least;

	/* it gets its number, and changes a row */
	atomic {
		next == id;
		next++;
		running = running | BIT(id);
		take_least(running, next, xmin);
		if
		:: touches = ROW
		:: touches = OTHER
#ifndef FEW
		:: touches = ALL
		:: touches = WATCH
#endif
		fi;
		if
		:: noted = true
		:: !there && touches != WATCH -> noted = false
		fi
	}

#ifdef OWN_HIT
	d_step {
		if
		:: filled && touches == ROW -> assert(value & BIT(id)) /* C2 */
		:: else
		fi
	}
#endif
#ifdef OWN_STORED
	d_step {
		!held;
		take_least(running, next, least);
		if
		:: there && touches == ROW && whole < least && horizon[0] < least &&
		   horizon[1] < least && !(running & (BIT(fence[0]) | BIT(fence[1]))) ->
			filled = true;
			value = row | BIT(id);
			check_value()
		:: else
		fi;
		least = 0
	}
#endif

#ifndef FENCED_LATE
	if
	:: noted -> fence_noted()
	:: else
	fi;
#endif
	if
	:: skip
#ifndef FEW
	:: noted ->
		/* PREPARE: another session ends it some day */
#ifdef PREPARED_LATE
		take_back();
#endif
		d_step {
			if
			:: id > prepared -> prepared = id
			:: else
			fi
		}
		take_back()
#endif
	fi;
#ifdef CLEARED_EARLY
	take_back();
#endif
	if
	:: d_step {
		/* the commit */
		running = running & ~BIT(id);
		if
		:: touches != OTHER -> row = row | BIT(id)
		:: else
		fi;
#ifndef FENCED_LATE
		check_value()
#endif
	   }
	:: running = running & ~BIT(id)
	fi;
#ifdef FENCED_LATE
	if
	:: noted -> check_value(); fence_noted()
	:: else
	fi;
#endif
	take_back()
}

/* ---- readers ---- */

#define HAD_ENDED(id) (id < xmin || (id < xmax && !(seen_running & BIT(id))))
#define COVERS \
	(there && whole < xmin && horizon[0] < xmin && horizon[1] < xmin && \
	 HAD_ENDED(fence[0]) && HAD_ENDED(fence[1]))

proctype Reader()
{
	byte xmin;
	byte xmax;
	byte seen_running;
	byte computed;
	byte found;
	bool covered;

	/* the snapshot, and what it shows of the row */
	d_step {
		xmax = next;
		seen_running = running;
		take_least(running, next, xmin);
		computed = row
	}

	if
	:: /* a hit, in REPEATABLE READ */
#ifdef ASKED_FIRST
		d_step { !held -> covered = COVERS };
		d_step { covered = covered && filled; found = value };
#else
		d_step { filled -> found = value };
		d_step { !held -> covered = COVERS };
#endif
		assert(!covered || found == computed) /* C4 */
	:: /* a miss */
		if
		:: skip
		:: d_step {
			/* the client computes: his lease says which have ended, and no more */
#ifdef LEASE_LATE
			take_least(running, next, xmin);
#endif
			xmax = xmin;
			seen_running = 0
		   }
		fi;
#ifdef UNLOCKED_FILL
		d_step { !held -> covered = COVERS };
		d_step {
			!held ->
#else
		d_step {
			!held -> covered = COVERS;
#endif
			if
			:: covered -> filled = true; value = computed; check_value()
			:: else
			fi
		}
	fi
}

proctype Maker()
{
	d_step {
		!held;
		if
		:: there
		:: else ->
			there = true;
#ifndef HORIZON_ZERO
			whole = next - 1
#endif
		fi
	}
}

init
{
	byte i;

	atomic {
		for (i : 1 .. WRITERS) { run Writer(i) }
		for (i : 1 .. READERS) { run Reader() }
		run Maker()
	}
}
