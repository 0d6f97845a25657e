/*
 * replay.c
 *	  Replays recorded cache traffic against a map, a table, or both.
 *
 * Each access of the trace gets its key; on a miss a value is put that is made
 * from the key, so that every later hit is checked byte for byte.  The trace is
 * read whole before anything is measured: its distinct keys are numbered, and
 * an access is a key's number.
 *
 * Errors in the main thread exit at once; an exit handler drops what was
 * created.  A client's error stops the run, and is reported after the join.
 */
#define _GNU_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <libpq-fe.h>

#define MAX_KEY		 2048
#define MAX_VALUE	 10000000
#define MAX_CLIENTS	 1000
#define MAX_SCAN	 1000000000
#define MAX_ACCESSES 4000000000u
#define BATCH		 10000
#define SCAN_SLACK	 100 /* the replay runs this many keys ahead of the scan */

/* A value is a mark of 16 bytes, repeated. */
#define MARK_SIZE 16
#define SCAN_MARK "never looked up:"

#define OID_TEXT	   25
#define OID_TEXT_ARRAY 1009
#define OID_INT4	   23

typedef enum trace_format
{
	FORMAT_GUESS,
	FORMAT_BE32,
	FORMAT_LINES,
	FORMAT_CSV
} trace_format;

static struct
{
	const char *file;
	trace_format format;
	uint64_t column;
	uint64_t max_accesses;
	uint64_t clients;
	uint64_t value_size;
	uint64_t scan;
	uint64_t lru;
	bool lru_auto;
	bool in_server;
	bool json;
	const char *map;
	const char *table;
	const char *create;
	const char *host;
	const char *port;
	const char *user;
	const char *database;
} opt = {.max_accesses = MAX_ACCESSES, .clients = 1, .value_size = 100};

/* ---- helpers ------------------------------------------------------------- */

static void die(const char *format, ...)
	__attribute__((format(printf, 1, 2), noreturn));
static char *text(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void
die(const char *format, ...)
{
	va_list args;

	fputs("replay: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

static void *
grow(void *memory, size_t n, size_t size)
{
	void *grown = reallocarray(memory, n, size);

	if (grown == NULL)
		die("out of memory");
	return grown;
}

static char *
text(const char *format, ...)
{
	va_list args;
	char *result;

	va_start(args, format);
	if (vasprintf(&result, format, args) < 0)
		die("out of memory");
	va_end(args);
	return result;
}

static bool
ends_with(const char *string, size_t len, const char *end)
{
	size_t end_len = strlen(end);

	return len >= end_len && memcmp(string + len - end_len, end, end_len) == 0;
}

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t) t.tv_sec * 1000000000 + (uint64_t) t.tv_nsec;
}

static void
nap(void)
{
	nanosleep(&(struct timespec) {.tv_nsec = 50000}, NULL);
}

/* ---- the trace in memory ------------------------------------------------- */

typedef struct trace_key
{
	size_t offset; /* into trace.text, where the key ends with a NUL */
	uint64_t hash;
} trace_key;

static struct
{
	uint32_t *accesses; /* numbers of keys */
	size_t n_accesses;
	size_t accesses_room;
	trace_key *keys;
	uint32_t n_keys;
	size_t keys_room;
	char *text;
	size_t text_len;
	size_t text_room;
	uint32_t *slots; /* hash table: number of a key + 1; 0: free */
	size_t n_slots;
	size_t without_key;
} trace;

static const char *
key_text(uint32_t number)
{
	return trace.text + trace.keys[number].offset;
}

/* FNV-1a, and the last step of MurmurHash3 */
static uint64_t
hash_bytes(const char *bytes, size_t len)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char) bytes[i]) * UINT64_C(0x100000001b3);
	h = (h ^ (h >> 33)) * UINT64_C(0xff51afd7ed558ccd);
	h = (h ^ (h >> 33)) * UINT64_C(0xc4ceb9fe1a85ec53);
	return h ^ (h >> 33);
}

static void
rehash(void)
{
	trace.n_slots = trace.n_slots == 0 ? 1 << 16 : trace.n_slots * 2;
	free(trace.slots);
	trace.slots = calloc(trace.n_slots, sizeof(*trace.slots));
	if (trace.slots == NULL)
		die("out of memory");
	for (uint32_t i = 0; i < trace.n_keys; i++)
	{
		size_t slot = trace.keys[i].hash & (trace.n_slots - 1);

		while (trace.slots[slot] != 0)
			slot = (slot + 1) & (trace.n_slots - 1);
		trace.slots[slot] = i + 1;
	}
}

static uint32_t
add_key(const char *bytes, size_t len, uint64_t hash)
{
	if (trace.n_keys == trace.keys_room)
	{
		trace.keys_room = trace.keys_room * 2 + 1024;
		trace.keys = grow(trace.keys, trace.keys_room, sizeof(*trace.keys));
	}
	if (trace.text_room - trace.text_len <= len)
	{
		trace.text_room = trace.text_room * 2 + 2 * MAX_KEY;
		trace.text = grow(trace.text, trace.text_room, 1);
	}
	trace.keys[trace.n_keys] = (trace_key) {trace.text_len, hash};
	memcpy(trace.text + trace.text_len, bytes, len);
	trace.text[trace.text_len + len] = '\0';
	trace.text_len += len + 1;
	return trace.n_keys++;
}

/* The number of a key, a new one if it is new.  It contains no NUL. */
static uint32_t
number_of_key(const char *bytes, size_t len)
{
	uint64_t hash = hash_bytes(bytes, len);
	size_t slot;

	if (trace.n_keys >= trace.n_slots / 2)
		rehash();
	for (slot = hash & (trace.n_slots - 1); trace.slots[slot] != 0;
		 slot = (slot + 1) & (trace.n_slots - 1))
	{
		uint32_t number = trace.slots[slot] - 1;

		if (trace.keys[number].hash == hash && strlen(key_text(number)) == len &&
			memcmp(key_text(number), bytes, len) == 0)
			return number;
	}
	trace.slots[slot] = add_key(bytes, len, hash) + 1;
	return trace.slots[slot] - 1;
}

static void
add_access(const char *bytes, size_t len)
{
	if (trace.n_accesses == trace.accesses_room)
	{
		trace.accesses_room = trace.accesses_room * 2 + 1024;
		trace.accesses =
			grow(trace.accesses, trace.accesses_room, sizeof(*trace.accesses));
	}
	trace.accesses[trace.n_accesses++] = number_of_key(bytes, len);
}

/* ---- reading the trace --------------------------------------------------- */

typedef struct reader
{
	FILE *stream;
	const char *file;
	pid_t pid; /* of xz or gzip, if there is one */
	const char *program;
	uint64_t line;		 /* ends read so far */
	uint64_t first_line; /* of this record */
	size_t len;			 /* of the key, whether it fits or not */
	bool blank;			 /* nothing in this record */
	bool quoted;		 /* the key's column has quotes */
	char key[MAX_KEY];
} reader;

static const char *
unpacker(const char *file)
{
	if (ends_with(file, strlen(file), ".xz"))
		return "xz";
	if (ends_with(file, strlen(file), ".gz"))
		return "gzip";
	return NULL;
}

static trace_format
guess_format(const char *file)
{
	size_t len = strlen(file) - (unpacker(file) != NULL ? strlen(".xz") : 0);

	return ends_with(file, len, ".trace") ? FORMAT_BE32 : FORMAT_LINES;
}

/* Starts xz or gzip on an open file; returns what it writes. */
static int
unpack(reader *r, int file)
{
	char *args[] = {(char *) r->program, (char *) "-dc", NULL};
	posix_spawn_file_actions_t actions;
	int ends[2];
	int error;

	if (pipe2(ends, O_CLOEXEC) != 0)
		die("pipe: %s", strerror(errno));
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, file, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
	error = posix_spawnp(&r->pid, args[0], &actions, NULL, args, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (error == ENOENT)
		die("%s needs %s, which is not installed; first run as root: apt-get install %s",
			r->file, r->program, strcmp(r->program, "xz") == 0 ? "xz-utils" : "gzip");
	if (error != 0)
		die("%s: %s", r->program, strerror(error));
	close(file);
	close(ends[1]);
	return ends[0];
}

static void
reader_open(reader *r, const char *file)
{
	int fd;

	*r = (reader) {.file = file, .program = unpacker(file)};
	if (strcmp(file, "-") == 0)
	{
		r->file = "stdin";
		r->stream = stdin;
		return;
	}
	fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die("%s: %s", file, strerror(errno));
	if (r->program != NULL)
		fd = unpack(r, fd);
	r->stream = fdopen(fd, "r");
	if (r->stream == NULL)
		die("%s: %s", file, strerror(errno));
}

/* at_end: not if enough was read before the end; xz then dies of SIGPIPE. */
static void
reader_close(reader *r, bool at_end)
{
	int status = 0;

	if (ferror(r->stream))
		die("%s: %s", r->file, strerror(errno));
	fclose(r->stream);
	if (r->pid != 0 && waitpid(r->pid, &status, 0) < 0)
		die("waitpid: %s", strerror(errno));
	if (at_end && status != 0)
		die("%s: %s could not read it to its end", r->file, r->program);
}

static int
reader_byte(reader *r)
{
	int c = getc_unlocked(r->stream);

	if (c == EOF && ferror(r->stream))
		die("%s: %s", r->file, strerror(errno));
	return c;
}

static bool
at_line_end(reader *r, int c)
{
	int next;

	if (c != '\r')
		return c == '\n';
	next = reader_byte(r);
	if (next == '\n')
		return true;
	ungetc(next, r->stream);
	return false;
}

static void
keep_byte(reader *r, int c)
{
	if (c == '\0')
		die("%s:%" PRIu64 ": a zero byte, which no text has; is it --format=be32?",
			r->file, r->line + 1);
	if (r->len < MAX_KEY)
		r->key[r->len] = (char) c;
	r->len++;
}

static bool
read_line(reader *r)
{
	int c;

	r->len = 0;
	r->first_line = r->line + 1;
	c = reader_byte(r);
	if (c == EOF)
		return false;
	for (; c != EOF && !at_line_end(r, c); c = reader_byte(r))
		keep_byte(r, c);
	r->blank = r->len == 0;
	r->quoted = false;
	r->line++;
	return true;
}

/* A quote: returns whether what follows is inside quotes. */
static bool
csv_quote(reader *r, bool inside, bool wanted)
{
	int next;

	r->quoted |= wanted;
	if (!inside)
		return true;
	next = reader_byte(r);
	if (next != '"')
	{
		ungetc(next, r->stream);
		return false;
	}
	if (wanted)
		keep_byte(r, '"');
	return true;
}

/* Reads a record, which may have several lines, and keeps one column of it. */
static bool
read_csv(reader *r)
{
	uint64_t column = 1;
	bool inside = false;
	int c;

	r->len = 0;
	r->blank = true;
	r->quoted = false;
	r->first_line = r->line + 1;
	c = reader_byte(r);
	if (c == EOF)
		return false;
	for (; c != EOF; c = reader_byte(r))
	{
		if (!inside && at_line_end(r, c))
			break;
		r->blank = false;
		r->line += c == '\n';
		if (c == '"')
			inside = csv_quote(r, inside, column == opt.column);
		else if (c == ',' && !inside)
			column++;
		else if (column == opt.column)
			keep_byte(r, c);
	}
	if (inside)
		die("%s:%" PRIu64 ": a quote that nothing closes", r->file, r->first_line);
	r->line++;
	if (column < opt.column && !r->blank)
		die("%s:%" PRIu64 ": column %" PRIu64 " is wanted, but there %s %" PRIu64,
			r->file, r->first_line, opt.column, column == 1 ? "is only" : "are only",
			column);
	return true;
}

/* Reads accesses that are text, one a record. */
static bool
read_text(reader *r, bool (*read_record)(reader *))
{
	while (trace.n_accesses < opt.max_accesses)
	{
		if (!read_record(r))
			return true;
		if (r->len > MAX_KEY)
			die("%s:%" PRIu64 ": a key of %zu bytes; the longest may have %d", r->file,
				r->first_line, r->len, MAX_KEY);
		if (r->len == 0 && !r->quoted)
			trace.without_key++;
		else
			add_access(r->key, r->len);
	}
	return false;
}

static bool
read_be32(reader *r)
{
	unsigned char b[4];
	char key[16];
	size_t got;

	while (trace.n_accesses < opt.max_accesses)
	{
		got = fread_unlocked(b, 1, sizeof(b), r->stream);
		if (ferror(r->stream))
			die("%s: %s", r->file, strerror(errno));
		if (got == 0)
			return true;
		if (got != sizeof(b))
		{
			reader_close(r, true);
			die("%s: %zu bytes are left over at its end; is it no --format=be32?",
				r->file, got);
		}
		got = (size_t) snprintf(key, sizeof(key), "%" PRIu32,
								(uint32_t) b[0] << 24 | (uint32_t) b[1] << 16 |
									(uint32_t) b[2] << 8 | b[3]);
		add_access(key, got);
	}
	return false;
}

static void
read_trace(void)
{
	static reader r;
	bool at_end = false;

	reader_open(&r, opt.file);
	switch (opt.format)
	{
		case FORMAT_BE32:
			at_end = read_be32(&r);
			break;
		case FORMAT_CSV:
			at_end = read_text(&r, read_csv);
			break;
		default:
			at_end = read_text(&r, read_line);
			break;
	}
	reader_close(&r, at_end);
	if (trace.n_accesses == 0)
		die("%s: no accesses in it", r.file);
	if (at_end == false && opt.max_accesses == MAX_ACCESSES)
		die("%s: more than %u accesses", r.file, MAX_ACCESSES);
}

/* ---- values and the scan ------------------------------------------------- */

static char scan_prefix[64];

static void
make_mark(char mark[MARK_SIZE + 1], uint32_t number)
{
	snprintf(mark, MARK_SIZE + 1, "%016" PRIx64, trace.keys[number].hash);
}

static void
make_value(char *value, const char *mark)
{
	for (size_t at = 0; at < opt.value_size; at += MARK_SIZE)
	{
		size_t left = opt.value_size - at;

		memcpy(value + at, mark, left < MARK_SIZE ? left : MARK_SIZE);
	}
	value[opt.value_size] = '\0';
}

/* How many keys the scan has put after that many accesses. */
static uint64_t
scan_due(uint64_t accesses)
{
	return opt.scan * accesses / trace.n_accesses;
}

static bool
is_prefix(const char *prefix)
{
	for (uint32_t i = 0; i < trace.n_keys; i++)
		if (strncmp(key_text(i), prefix, strlen(prefix)) == 0)
			return true;
	return false;
}

/*
 * The scan's keys are to be new: not in the trace, and not those of a run
 * before in a map that is still there.
 */
static void
choose_scan_prefix(void)
{
	strcpy(scan_prefix, "scan");
	if (opt.create == NULL)
		snprintf(scan_prefix, sizeof(scan_prefix), "scan-%" PRIx64,
				 (uint64_t) time(NULL));
	while (is_prefix(scan_prefix))
	{
		if (strlen(scan_prefix) == sizeof(scan_prefix) - 1)
			die("found no name for the keys of the scan that the trace does not have");
		strcat(scan_prefix, "_");
	}
}

static void
make_scan_key(char key[96], uint64_t i)
{
	snprintf(key, 96, "%s:%" PRIu64, scan_prefix, i + 1);
}

/* ---- latencies ----------------------------------------------------------- */

/*
 * A log-linear histogram of nanoseconds: 128 buckets for each power of two, so
 * that what it says is at most 0.4 % off.
 */
#define SUB_BITS  7
#define SUB		  (1 << SUB_BITS)
#define N_BUCKETS ((64 - SUB_BITS + 1) * SUB)

typedef struct histogram
{
	uint64_t n;
	uint64_t buckets[N_BUCKETS];
} histogram;

static void
histogram_add(histogram *h, uint64_t ns)
{
	int shift = ns < SUB ? 0 : 63 - __builtin_clzll(ns) - SUB_BITS;

	h->n++;
	h->buckets[(size_t) shift * SUB + (ns >> shift)]++;
}

static void
histogram_merge(histogram *into, const histogram *from)
{
	into->n += from->n;
	for (size_t i = 0; i < N_BUCKETS; i++)
		into->buckets[i] += from->buckets[i];
}

/* The middle of a bucket, in microseconds. */
static double
bucket_us(size_t bucket)
{
	size_t shift = bucket < 2 * SUB ? 0 : bucket / SUB - 1;

	return ((double) (bucket - shift * SUB) + (shift > 0 ? 0.5 : 0)) *
		(double) (UINT64_C(1) << shift) / 1000;
}

static double
percentile_us(const histogram *h, double percent)
{
	double rank = (double) h->n * percent / 100;
	uint64_t seen = 0;

	for (size_t i = 0; i < N_BUCKETS; i++)
	{
		seen += h->buckets[i];
		if (seen > 0 && (double) seen >= rank)
			return bucket_us(i);
	}
	return 0;
}

/* ---- an exact LRU, without a server -------------------------------------- */

#define NOWHERE UINT32_MAX

/* A ring of keys, from the head the most recently used one first. */
typedef struct lru
{
	uint32_t *next;
	uint32_t *prev;
	uint32_t head;
	uint64_t held;
	uint64_t room;
} lru;

static void
lru_unlink(lru *l, uint32_t key)
{
	l->next[l->prev[key]] = l->next[key];
	l->prev[l->next[key]] = l->prev[key];
	l->next[key] = NOWHERE;
}

static void
lru_link(lru *l, uint32_t key)
{
	uint32_t second = l->next[l->head];

	l->next[l->head] = key;
	l->prev[key] = l->head;
	l->next[key] = second;
	l->prev[second] = key;
}

/* Uses a key: was it there? */
static bool
lru_use(lru *l, uint32_t key)
{
	bool hit = l->next[key] != NOWHERE;

	if (hit)
		lru_unlink(l, key);
	else if (l->held == l->room)
		lru_unlink(l, l->prev[l->head]);
	else
		l->held++;
	lru_link(l, key);
	return hit;
}

/* The keys of the scan have the numbers after those of the trace. */
static uint64_t
lru_hits(uint64_t entries)
{
	uint64_t n = trace.n_keys + opt.scan + 1;
	lru l = {.room = entries};
	uint64_t scanned = 0;
	uint64_t hits = 0;

	if (entries == 0)
		return 0;
	if (n >= NOWHERE)
		die("too many keys for --lru");
	l.next = grow(NULL, n, sizeof(*l.next));
	l.prev = grow(NULL, n, sizeof(*l.prev));
	memset(l.next, 0xff, n * sizeof(*l.next));
	l.head = (uint32_t) n - 1;
	l.next[l.head] = l.head;
	l.prev[l.head] = l.head;
	for (size_t i = 0; i < trace.n_accesses; i++)
	{
		hits += lru_use(&l, trace.accesses[i]);
		for (; scanned < scan_due(i + 1); scanned++)
			lru_use(&l, trace.n_keys + (uint32_t) scanned);
	}
	free(l.next);
	free(l.prev);
	return hits;
}

/* ---- the server ---------------------------------------------------------- */

typedef struct outcome
{
	const char *kind; /* "map", "table" or "lru" */
	const char *name;
	uint64_t entries; /* at the end; of a map or an LRU */
	uint64_t hits;
	double seconds;
	histogram get;
	histogram put;
	histogram scan;
} outcome;

/* What is replayed against. */
typedef struct target
{
	outcome *result;
	bool is_map;
	char *name;	   /* quoted as needed */
	char *literal; /* the name as an SQL string */
	char *get;
	char *put;
} target;

static PGconn *control;
static char *drop_statement; /* what the exit handler has to do */

static const char *
trimmed(char *message)
{
	size_t len = strlen(message);

	while (len > 0 && message[len - 1] == '\n')
		message[--len] = '\0';
	return message;
}

static PGconn *
connect_server(void)
{
	const char *keywords[] =
		{"host", "port", "user", "dbname", "fallback_application_name", NULL};
	const char *values[] = {opt.host, opt.port, opt.user, opt.database, "replay", NULL};
	PGconn *conn = PQconnectdbParams(keywords, values, 1);

	if (PQstatus(conn) != CONNECTION_OK)
		die("%s", trimmed(PQerrorMessage(conn)));
	return conn;
}

static bool
succeeded(const PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);

	return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

/* Returns the result, if it is one of success; says where it came from if not. */
static PGresult *
checked(PGconn *conn, PGresult *result, const char *statement)
{
	if (succeeded(result))
		return result;
	PQclear(result);
	die("%s\nin: %s", trimmed(PQerrorMessage(conn)), statement);
}

static PGresult *
query(const char *statement, int n_values, const char *const *values)
{
	PGresult *result =
		PQexecParams(control, statement, n_values, NULL, values, NULL, NULL, 0);

	return checked(control, result, statement);
}

static void
command(const char *statement)
{
	PQclear(query(statement, 0, NULL));
}

/* The first column of the first row; NULL if there is none. */
static char *
query_text(const char *statement, const char *value)
{
	PGresult *result = query(statement, value != NULL, &value);
	char *answer = NULL;

	if (PQntuples(result) > 0 && !PQgetisnull(result, 0, 0))
		answer = text("%s", PQgetvalue(result, 0, 0));
	PQclear(result);
	return answer;
}

static void
drop_created(void)
{
	PGresult *result;

	if (drop_statement == NULL)
		return;
	result = PQexec(control, drop_statement);
	if (!succeeded(result))
		fprintf(stderr, "replay: not done: %s\n%s", drop_statement,
				PQerrorMessage(control));
	PQclear(result);
	free(drop_statement);
	drop_statement = NULL;
}

static void
prepare(PGconn *conn, const char *name, const char *statement, int n_types,
		const Oid *types)
{
	PGresult *result = PQprepare(conn, name, statement, n_types, types);

	PQclear(checked(conn, result, statement));
}

/* ---- maps and tables ----------------------------------------------------- */

static void
check_extension(void)
{
	char *there =
		query_text("SELECT 1 FROM pg_extension WHERE extname = 'syncmap'", NULL);

	if (there == NULL)
		die("the database %s has no maps: it needs CREATE EXTENSION syncmap",
			PQdb(control));
	free(there);
}

static void
check_there(const target *t)
{
	char *there = query_text("SELECT to_regclass($1)", t->name);

	if (there == NULL)
		die("there is no %s %s; --create '' makes one for the run", t->result->kind,
			t->name);
	free(there);
}

/* A name as in SQL, quoted for use in statements. */
static char *
quoted_name(const char *name)
{
	return query_text("SELECT string_agg(quote_ident(part), '.' ORDER BY i)"
					  " FROM unnest(parse_ident($1)) WITH ORDINALITY AS p(part, i)",
					  name);
}

static void
target_init(target *t, outcome *result, bool is_map)
{
	char *literal;

	*t = (target) {.result = result, .is_map = is_map};
	t->name = quoted_name(is_map ? opt.map : opt.table);
	literal = PQescapeLiteral(control, t->name, strlen(t->name));
	if (literal == NULL)
		die("%s", trimmed(PQerrorMessage(control)));
	t->literal = text("%s::regclass", literal);
	PQfreemem(literal);
	if (is_map)
	{
		t->get = text("SELECT syncmap.get(%s, $1)", t->literal);
		t->put = text("SELECT syncmap.put(%s, $1, $2)", t->literal);
	}
	else
	{
		t->get = text("SELECT value FROM %s WHERE key = $1", t->name);
		t->put = text("INSERT INTO %s (key, value) VALUES ($1, $2)"
					  " ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value",
					  t->name);
	}
	*result = (outcome) {.kind = is_map ? "map" : "table", .name = t->name};
}

static void
target_free(target *t)
{
	free(t->literal);
	free(t->get);
	free(t->put);
}

static void
create_map(const target *t)
{
	bool options = opt.create[strspn(opt.create, " ")] != '\0';
	char *create = text("CREATE FOREIGN TABLE %s (key text COLLATE \"C\", value text)"
						" SERVER syncmap%s%s%s",
						t->name, options ? " OPTIONS (" : "", options ? opt.create : "",
						options ? ")" : "");

	command(create);
	free(create);
	drop_statement = text("DROP FOREIGN TABLE %s", t->name);
}

/* A map does not compress values, and these would shrink to nothing. */
static void
create_table(const target *t)
{
	char *create = text("CREATE UNLOGGED TABLE %s"
						" (key text COLLATE \"C\" PRIMARY KEY, value text)",
						t->name);
	char *alter = text("ALTER TABLE %s ALTER value SET STORAGE EXTERNAL", t->name);

	command(create);
	drop_statement = text("DROP TABLE %s", t->name);
	command(alter);
	free(create);
	free(alter);
}

static uint64_t
count_map(const target *t)
{
	char *statement = text("SELECT syncmap.count(%s)", t->literal);
	char *answer = query_text(statement, NULL);
	uint64_t count = answer != NULL ? strtoull(answer, NULL, 10) : 0;

	free(statement);
	free(answer);
	return count;
}

/* ---- clients ------------------------------------------------------------- */

typedef struct client
{
	pthread_t thread;
	PGconn *conn;
	const target *target;
	char *value;
	uint64_t hits;
	histogram get;
	histogram put;
} client;

static struct
{
	atomic_uint_fast64_t next; /* the access that is dealt out next */
	atomic_uint_fast64_t scanned;
	atomic_bool stop;
	pthread_mutex_t lock;
	char *error; /* the first one; under the lock */
} run = {.lock = PTHREAD_MUTEX_INITIALIZER};

static volatile sig_atomic_t interrupted;

static void
on_signal(int signal)
{
	interrupted = signal;
	atomic_store(&run.stop, true);
}

/* A second signal of the kind ends the program as if there were no handler. */
static void
catch_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESETHAND};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
}

/* Takes over the message. */
static void
stop_run(char *error)
{
	pthread_mutex_lock(&run.lock);
	if (run.error == NULL)
		run.error = error;
	else
		free(error);
	pthread_mutex_unlock(&run.lock);
	atomic_store(&run.stop, true);
}

static void
check_run(void)
{
	if (run.error != NULL)
		die("%s", run.error);
	if (interrupted != 0)
		die("interrupted");
}

static char *
wrong_value(const target *t, const char *key)
{
	return text(
		"wrong value: %s %s has one for key \"%s\" that replay did not put there",
		t->result->kind, t->name, key);
}

/* Executes a prepared statement; NULL, and the run stops, if it fails. */
static PGresult *
execute(client *c, const char *name, histogram *h, const char *key)
{
	const char *values[] = {key, c->value};
	int n_values = strcmp(name, "put") == 0 ? 2 : 1;
	uint64_t start = now_ns();
	PGresult *result = PQexecPrepared(c->conn, name, n_values, values, NULL, NULL, 0);

	histogram_add(h, now_ns() - start);
	if (succeeded(result))
		return result;
	stop_run(text("%s of key \"%s\": %s", name, key, trimmed(PQerrorMessage(c->conn))));
	PQclear(result);
	return NULL;
}

static bool
put(client *c, const char *key)
{
	PGresult *result = execute(c, "put", &c->put, key);

	PQclear(result);
	return result != NULL;
}

static bool
value_is_right(const client *c, const PGresult *result)
{
	return (uint64_t) PQgetlength(result, 0, 0) == opt.value_size &&
		memcmp(PQgetvalue(result, 0, 0), c->value, opt.value_size) == 0;
}

static bool
replay_access(client *c, uint32_t number)
{
	const char *key = key_text(number);
	char mark[MARK_SIZE + 1];
	PGresult *result;
	bool hit;
	bool right;

	make_mark(mark, number);
	make_value(c->value, mark);
	result = execute(c, "get", &c->get, key);
	if (result == NULL)
		return false;
	hit = PQntuples(result) > 0 && !PQgetisnull(result, 0, 0);
	right = !hit || value_is_right(c, result);
	PQclear(result);
	if (!hit)
		return put(c, key);
	if (!right)
		stop_run(wrong_value(c->target, key));
	c->hits++;
	return right;
}

static bool
wait_for_scan(uint64_t accesses)
{
	while (atomic_load(&run.scanned) + SCAN_SLACK < scan_due(accesses) &&
		   !atomic_load(&run.stop))
		nap();
	return !atomic_load(&run.stop);
}

static void *
client_main(void *arg)
{
	client *c = arg;
	uint64_t i;

	while ((i = atomic_fetch_add(&run.next, 1)) < trace.n_accesses)
		if (!wait_for_scan(i) || !replay_access(c, trace.accesses[i]))
			break;
	return NULL;
}

static void *
scan_main(void *arg)
{
	client *c = arg;
	uint64_t scanned = 0;
	char key[96];

	make_value(c->value, SCAN_MARK);
	while (scanned < opt.scan && !atomic_load(&run.stop))
	{
		uint64_t dealt = atomic_load(&run.next);

		if (dealt > trace.n_accesses)
			dealt = trace.n_accesses;
		if (scanned == scan_due(dealt))
		{
			nap();
			continue;
		}
		make_scan_key(key, scanned);
		if (!put(c, key))
			break;
		atomic_store(&run.scanned, ++scanned);
	}
	return NULL;
}

static void
client_init(client *c, const target *t)
{
	c->target = t;
	c->value = grow(NULL, opt.value_size + 1, 1);
	c->conn = connect_server();
	prepare(c->conn, "get", t->get, 0, NULL);
	prepare(c->conn, "put", t->put, 0, NULL);
}

static void
client_start(client *c, void *(*function)(void *) )
{
	int error = pthread_create(&c->thread, NULL, function, c);

	if (error != 0)
		die("could not start a thread: %s", strerror(error));
}

static void
client_end(client *c)
{
	PQfinish(c->conn);
	free(c->value);
}

/* The last client is the scan, if there is one. */
static void
run_clients(const target *t)
{
	size_t n = opt.clients;
	size_t n_all = n + (opt.scan > 0);
	client *clients = grow(NULL, n_all, sizeof(*clients));
	uint64_t start;

	memset(clients, 0, n_all * sizeof(*clients));
	atomic_store(&run.next, 0);
	atomic_store(&run.scanned, 0);
	for (size_t i = 0; i < n_all; i++)
		client_init(&clients[i], t);
	start = now_ns();
	for (size_t i = 0; i < n_all; i++)
		client_start(&clients[i], i < n ? client_main : scan_main);
	for (size_t i = 0; i < n; i++)
	{
		pthread_join(clients[i].thread, NULL);
		t->result->hits += clients[i].hits;
		histogram_merge(&t->result->get, &clients[i].get);
		histogram_merge(&t->result->put, &clients[i].put);
	}
	t->result->seconds = (double) (now_ns() - start) / 1e9;
	if (opt.scan > 0)
	{
		pthread_join(clients[n].thread, NULL);
		histogram_merge(&t->result->scan, &clients[n].put);
	}
	for (size_t i = 0; i < n_all; i++)
		client_end(&clients[i]);
	free(clients);
}

/* ---- the loop inside the server ------------------------------------------ */

/* An array of text as PostgreSQL sends and receives it. */
typedef struct text_array
{
	char *bytes;
	size_t len;
	size_t room;
	uint32_t n;
} text_array;

static void
array_bytes(text_array *a, const void *bytes, size_t len)
{
	if (a->room - a->len < len)
	{
		a->room = a->room * 2 + len;
		a->bytes = grow(a->bytes, a->room, 1);
	}
	memcpy(a->bytes + a->len, bytes, len);
	a->len += len;
}

static void
array_number(text_array *a, uint32_t number)
{
	unsigned char bytes[4] = {(unsigned char) (number >> 24),
							  (unsigned char) (number >> 16),
							  (unsigned char) (number >> 8), (unsigned char) number};

	array_bytes(a, bytes, sizeof(bytes));
}

/* One dimension, no NULL, of text, n elements, the first of which is 1. */
static void
array_header(text_array *a, uint32_t n)
{
	size_t len = a->len;

	a->len = 0;
	array_number(a, 1);
	array_number(a, 0);
	array_number(a, OID_TEXT);
	array_number(a, n);
	array_number(a, 1);
	if (len > a->len)
		a->len = len;
	a->n = n;
}

static void
array_text(text_array *a, const char *element)
{
	array_number(a, (uint32_t) strlen(element));
	array_bytes(a, element, strlen(element));
	a->n++;
}

#define CALL_BATCH "SELECT hits, wrong FROM pg_temp.replay_batch($1, $2, $3)"

static void
create_batch_function(const target *t)
{
	char *get = t->is_map ?
		text("stored := syncmap.get(%s, keys[i]);", t->literal) :
		text("SELECT t.value INTO stored FROM %s AS t WHERE t.key = keys[i];", t->name);
	char *put = t->is_map ?
		text("fresh := syncmap.put(%s, keys[i], wanted);", t->literal) :
		text("INSERT INTO %s (key, value) VALUES (keys[i], wanted)"
			 " ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value;",
			 t->name);
	char *body = text("DECLARE stored text; wanted text; fresh boolean;\n"
					  "BEGIN\n"
					  "	hits := 0;\n"
					  "	FOR i IN 1 .. cardinality(keys) LOOP\n"
					  "		wanted := left(repeat(marks[i], size / %d + 1), size);\n"
					  "		stored := NULL;\n"
					  "		IF marks[i] <> '%s' THEN %s END IF;\n"
					  "		IF stored IS NULL THEN %s\n"
					  "		ELSIF stored = wanted THEN hits := hits + 1;\n"
					  "		ELSE wrong := keys[i]; RETURN;\n"
					  "		END IF;\n"
					  "	END LOOP;\n"
					  "END",
					  MARK_SIZE, SCAN_MARK, get, put);
	char *literal = PQescapeLiteral(control, body, strlen(body));
	char *create = text("CREATE OR REPLACE FUNCTION pg_temp.replay_batch(keys text[],"
						" marks text[], size int, OUT hits int, OUT wrong text)"
						" LANGUAGE plpgsql AS %s",
						literal);

	command(create);
	PQfreemem(literal);
	free(create);
	free(body);
	free(put);
	free(get);
}

static void
send_batch(const target *t, text_array *keys, text_array *marks)
{
	char size[16];
	const char *values[] = {keys->bytes, marks->bytes, size};
	int lengths[] = {(int) keys->len, (int) marks->len, 0};
	int formats[] = {1, 1, 0};
	char *wrong = NULL;
	PGresult *result;

	array_header(keys, keys->n);
	array_header(marks, marks->n);
	snprintf(size, sizeof(size), "%" PRIu64, opt.value_size);
	result = PQexecPrepared(control, "batch", 3, values, lengths, formats, 0);
	checked(control, result, CALL_BATCH);
	if (!PQgetisnull(result, 0, 1))
		wrong = wrong_value(t, PQgetvalue(result, 0, 1));
	t->result->hits += strtoull(PQgetvalue(result, 0, 0), NULL, 10);
	PQclear(result);
	if (wrong != NULL)
		die("%s", wrong);
	keys->len = marks->len = 0;
	array_header(keys, 0);
	array_header(marks, 0);
	check_run();
}

static void
run_in_server(const target *t)
{
	text_array keys = {.n = 0};
	text_array marks = {.n = 0};
	char key[96];
	char mark[MARK_SIZE + 1];
	const Oid types[] = {OID_TEXT_ARRAY, OID_TEXT_ARRAY, OID_INT4};
	uint64_t scanned = 0;
	uint64_t start;

	create_batch_function(t);
	command("DEALLOCATE ALL");
	prepare(control, "batch", CALL_BATCH, 3, types);
	array_header(&keys, 0);
	array_header(&marks, 0);
	start = now_ns();
	for (size_t i = 0; i < trace.n_accesses; i++)
	{
		make_mark(mark, trace.accesses[i]);
		array_text(&keys, key_text(trace.accesses[i]));
		array_text(&marks, mark);
		for (; scanned < scan_due(i + 1); scanned++)
		{
			make_scan_key(key, scanned);
			array_text(&keys, key);
			array_text(&marks, SCAN_MARK);
			if (keys.n >= BATCH)
				send_batch(t, &keys, &marks);
		}
		if (keys.n >= BATCH)
			send_batch(t, &keys, &marks);
	}
	if (keys.n > 0)
		send_batch(t, &keys, &marks);
	t->result->seconds = (double) (now_ns() - start) / 1e9;
	free(keys.bytes);
	free(marks.bytes);
}

static void
run_target(outcome *result, bool is_map)
{
	target t;

	target_init(&t, result, is_map);
	if (opt.create == NULL)
		check_there(&t);
	else if (is_map)
		create_map(&t);
	else
		create_table(&t);
	if (opt.in_server)
		run_in_server(&t);
	else
		run_clients(&t);
	check_run();
	if (is_map)
		result->entries = count_map(&t);
	drop_created();
	target_free(&t);
}

/* ---- what came out ------------------------------------------------------- */

static outcome outcomes[3];
static size_t n_outcomes;

static double
hit_ratio(const outcome *o)
{
	return (double) o->hits / (double) trace.n_accesses;
}

/* A number with commas, right-aligned. */
static void
print_number(int width, double number)
{
	char digits[32];
	char grouped[48];
	int len = snprintf(digits, sizeof(digits), "%.0f", number);
	int at = 0;

	for (int i = 0; i < len; i++)
	{
		if (i > 0 && (len - i) % 3 == 0)
			grouped[at++] = ',';
		grouped[at++] = digits[i];
	}
	printf("%*.*s", width, at, grouped);
}

static void
print_latencies(const char *label, int label_width, const histogram *h)
{
	printf("  %-*s", label_width - 2, label);
	print_number(12, (double) h->n);
	printf("%12s%11s%12s%12s%9.1f%9.1f%9.1f\n", "", "", "", "", percentile_us(h, 50),
		   percentile_us(h, 99), percentile_us(h, 99.9));
}

static char *
outcome_label(const outcome *o)
{
	return strcmp(o->kind, "lru") == 0 ? text("exact LRU") :
										 text("%s %s", o->kind, o->name);
}

static void
print_outcome(const outcome *o, int label_width)
{
	char *label = outcome_label(o);

	printf("%-*s", label_width, label);
	free(label);
	print_number(12, (double) trace.n_accesses);
	print_number(12, (double) o->hits);
	printf("%9.1f %%", hit_ratio(o) * 100);
	if (strcmp(o->kind, "table") == 0)
		printf("%12s", "");
	else
		print_number(12, (double) o->entries);
	if (strcmp(o->kind, "lru") != 0)
		print_number(12, (double) trace.n_accesses / o->seconds);
	if (o->get.n > 0)
	{
		histogram all = o->get;

		histogram_merge(&all, &o->put);
		printf("%9.1f%9.1f%9.1f\n", percentile_us(&all, 50), percentile_us(&all, 99),
			   percentile_us(&all, 99.9));
		print_latencies("get", label_width, &o->get);
	}
	else
		putchar('\n');
	if (o->put.n > 0)
		print_latencies("put", label_width, &o->put);
	if (o->scan.n > 0)
		print_latencies("put of the scan", label_width, &o->scan);
}

static void
print_what(void)
{
	printf("%s: ", strcmp(opt.file, "-") == 0 ? "stdin" : opt.file);
	print_number(0, (double) trace.n_accesses);
	printf(" accesses to ");
	print_number(0, trace.n_keys);
	printf(" keys");
	if (outcomes[0].seconds > 0)
	{
		printf(", values of ");
		print_number(0, (double) opt.value_size);
		if (opt.in_server)
			printf(" bytes, a loop in the server");
		else
			printf(" bytes, %" PRIu64 " client%s", opt.clients,
				   opt.clients == 1 ? "" : "s");
	}
	if (opt.scan > 0)
	{
		printf(", a scan of ");
		print_number(0, (double) opt.scan);
		printf(" keys");
	}
	putchar('\n');
	if (trace.without_key > 0)
	{
		printf("Lines without a key, left out: ");
		print_number(0, (double) trace.without_key);
		putchar('\n');
	}
	putchar('\n');
}

static void
print_table(void)
{
	int label_width = (int) strlen("  put of the scan");

	for (size_t i = 0; i < n_outcomes; i++)
	{
		char *label = outcome_label(&outcomes[i]);

		if ((int) strlen(label) > label_width)
			label_width = (int) strlen(label);
		free(label);
	}
	print_what();
	printf("%-*s%12s%12s%11s%12s%12s%9s%9s%9s\n", label_width, "", "accesses", "hits",
		   "hit ratio", "entries", "accesses", "p50", "p99", "p99.9");
	printf("%-*s%12s%12s%11s%12s%12s%9s%9s%9s\n", label_width, "", "", "", "",
		   "at the end", "a second", "us", "us", "us");
	for (size_t i = 0; i < n_outcomes; i++)
		print_outcome(&outcomes[i], label_width);
	if (opt.in_server && outcomes[0].seconds > 0)
		printf(
			"\nNo latencies: with --in-server the client sees no single statement.\n");
}

static void
json_string(const char *name, const char *string)
{
	printf("\"%s\": \"", name);
	for (; *string != '\0'; string++)
	{
		if (*string == '"' || *string == '\\')
			putchar('\\');
		if ((unsigned char) *string < ' ')
			printf("\\u%04x", (unsigned) *string);
		else
			putchar(*string);
	}
	putchar('"');
}

static void
json_latencies(const char *name, const histogram *h)
{
	if (h->n == 0)
		return;
	printf(", \"%s\": {\"statements\": %" PRIu64
		   ", \"p50_us\": %.2f, \"p99_us\": %.2f, \"p99.9_us\": %.2f}",
		   name, h->n, percentile_us(h, 50), percentile_us(h, 99),
		   percentile_us(h, 99.9));
}

static void
json_outcome(const outcome *o)
{
	histogram all = o->get;

	histogram_merge(&all, &o->put);
	printf("{\"kind\": \"%s\"", o->kind);
	if (o->name != NULL)
	{
		printf(", ");
		json_string("name", o->name);
	}
	printf(", \"hits\": %" PRIu64 ", \"hit_ratio\": %.6f", o->hits, hit_ratio(o));
	if (strcmp(o->kind, "table") != 0)
		printf(", \"entries\": %" PRIu64, o->entries);
	if (o->seconds > 0)
		printf(", \"seconds\": %.6f, \"accesses_per_second\": %.1f", o->seconds,
			   (double) trace.n_accesses / o->seconds);
	json_latencies("all", &all);
	json_latencies("get", &o->get);
	json_latencies("put", &o->put);
	json_latencies("scan_put", &o->scan);
	putchar('}');
}

static void
print_json(void)
{
	putchar('{');
	json_string("trace", opt.file);
	printf(", \"accesses\": %zu, \"keys\": %" PRIu32 ", \"without_key\": %zu"
		   ", \"value_size\": %" PRIu64 ", \"clients\": %" PRIu64
		   ", \"in_server\": %s, \"scan\": %" PRIu64 ", \"results\": [",
		   trace.n_accesses, trace.n_keys, trace.without_key, opt.value_size,
		   opt.clients, opt.in_server ? "true" : "false", opt.scan);
	for (size_t i = 0; i < n_outcomes; i++)
	{
		printf("%s\n  ", i > 0 ? "," : "");
		json_outcome(&outcomes[i]);
	}
	puts("]}");
}

/* ---- the command line ---------------------------------------------------- */

static const char help[] =
	"Replays recorded cache traffic against a syncmap map, a table, or both: gets the\n"
	"key of each access, and on a miss puts a value for it.\n"
	"\n"
	"usage: bench/replay [OPTION]... FILE\n"
	"\n"
	"FILE is the trace, - for stdin; files named .xz and .gz are unpacked.\n"
	"  --format=lines      a key a line; the default\n"
	"  --format=csv        PostgreSQL's CSV, the key in the column --column=N\n"
	"  --format=be32       a 32-bit big-endian unsigned integer an access; the\n"
	"                      default for files named .trace, .trace.xz, .trace.gz\n"
	"  -n MAX              no more than the first MAX accesses\n"
	"A log of pgbench -l is no trace: it tells times, but no keys.\n"
	"\n"
	"What it is replayed against, one after the other:\n"
	"  --map NAME          a map\n"
	"  --table NAME        a table (key text PRIMARY KEY, value text)\n"
	"  --lru ENTRIES       an exact LRU of so many entries, simulated here without a\n"
	"                      server; auto: as many as the map holds at the end\n"
	"  --create OPTIONS    make the map with these options, \"max_memory '1MB'\" for\n"
	"                      example, or '' for none, and the table UNLOGGED, and drop\n"
	"                      them at the end; otherwise they are there, and stay as full\n"
	"                      as they are\n"
	"\n"
	"How:\n"
	"  -c CLIENTS          connections that go through the trace together (1)\n"
	"  --value-size BYTES  what is put on a miss (100)\n"
	"  --scan N            one more client puts N new keys, each once, spread evenly\n"
	"                      over the run\n"
	"  --in-server         in a loop inside the server: hit ratios of millions of\n"
	"                      accesses in seconds, but no latencies\n"
	"  --json              print JSON\n"
	"\n"
	"Which server, as in psql; passwords come from PGPASSWORD or ~/.pgpass:\n"
	"  -h HOST  -p PORT  -U USER  -d DATABASE\n"
	"\n"
	"Exit status: 0; 1 if the run failed or a value was wrong; 2 for wrong usage.\n";

static void usage_error(const char *format, ...)
	__attribute__((format(printf, 1, 2), noreturn));

static void
usage_error(const char *format, ...)
{
	va_list args;

	fputs("replay: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputs("\nbench/replay --help tells more.\n", stderr);
	exit(2);
}

static uint64_t
number_argument(const char *option, const char *argument, uint64_t max)
{
	char *end;
	uint64_t number;

	errno = 0;
	number = strtoull(argument, &end, 10);
	if (*argument < '0' || *argument > '9' || *end != '\0' || errno != 0 ||
		number < 1 || number > max)
		usage_error("%s takes a number from 1 to %" PRIu64 ", not \"%s\"", option, max,
					argument);
	return number;
}

static trace_format
format_argument(const char *argument)
{
	if (strcmp(argument, "be32") == 0)
		return FORMAT_BE32;
	if (strcmp(argument, "lines") == 0)
		return FORMAT_LINES;
	if (strcmp(argument, "csv") == 0)
		return FORMAT_CSV;
	usage_error("--format is be32, lines, or csv, not \"%s\"", argument);
}

enum
{
	OPT_FORMAT = 256,
	OPT_COLUMN,
	OPT_MAP,
	OPT_TABLE,
	OPT_CREATE,
	OPT_VALUE_SIZE,
	OPT_SCAN,
	OPT_LRU,
	OPT_IN_SERVER,
	OPT_JSON,
	OPT_HELP
};

static const struct option long_options[] =
	{{"format", required_argument, NULL, OPT_FORMAT},
	 {"column", required_argument, NULL, OPT_COLUMN},
	 {"map", required_argument, NULL, OPT_MAP},
	 {"table", required_argument, NULL, OPT_TABLE},
	 {"create", required_argument, NULL, OPT_CREATE},
	 {"value-size", required_argument, NULL, OPT_VALUE_SIZE},
	 {"scan", required_argument, NULL, OPT_SCAN},
	 {"lru", required_argument, NULL, OPT_LRU},
	 {"in-server", no_argument, NULL, OPT_IN_SERVER},
	 {"json", no_argument, NULL, OPT_JSON},
	 {"help", no_argument, NULL, OPT_HELP},
	 {"host", required_argument, NULL, 'h'},
	 {"port", required_argument, NULL, 'p'},
	 {"username", required_argument, NULL, 'U'},
	 {"dbname", required_argument, NULL, 'd'},
	 {NULL, 0, NULL, 0}};

static void
take_option(int option, const char *argument)
{
	switch (option)
	{
		case OPT_FORMAT:
			opt.format = format_argument(argument);
			break;
		case OPT_COLUMN:
			opt.column = number_argument("--column", argument, 10000);
			break;
		case OPT_MAP:
			opt.map = argument;
			break;
		case OPT_TABLE:
			opt.table = argument;
			break;
		case OPT_CREATE:
			opt.create = argument;
			break;
		case OPT_VALUE_SIZE:
			opt.value_size = number_argument("--value-size", argument, MAX_VALUE);
			break;
		case OPT_SCAN:
			opt.scan = number_argument("--scan", argument, MAX_SCAN);
			break;
		case OPT_LRU:
			opt.lru_auto = strcmp(argument, "auto") == 0;
			opt.lru = opt.lru_auto ? 0 : number_argument("--lru", argument, UINT32_MAX);
			break;
		case OPT_IN_SERVER:
			opt.in_server = true;
			break;
		case OPT_JSON:
			opt.json = true;
			break;
		case OPT_HELP:
			fputs(help, stdout);
			exit(0);
		case 'c':
			opt.clients = number_argument("-c", argument, MAX_CLIENTS);
			break;
		case 'n':
			opt.max_accesses = number_argument("-n", argument, MAX_ACCESSES - 1);
			break;
		case 'h':
			opt.host = argument;
			break;
		case 'p':
			opt.port = argument;
			break;
		case 'U':
			opt.user = argument;
			break;
		case 'd':
			opt.database = argument;
			break;
		default:
			fputs("bench/replay --help tells more.\n", stderr);
			exit(2);
	}
}

static void
check_options(void)
{
	bool server = opt.map != NULL || opt.table != NULL;

	if (!server && opt.lru == 0 && !opt.lru_auto)
		usage_error("nothing to replay against: give --map, --table, or --lru");
	if (opt.lru_auto && opt.map == NULL)
		usage_error("--lru auto is as large as the map: give --map, or a number");
	if (opt.create != NULL && !server)
		usage_error("--create of what? Give --map or --table");
	if (opt.in_server && !server)
		usage_error("--in-server replays against what? Give --map or --table");
	if (opt.in_server && opt.clients > 1)
		usage_error("--in-server is one loop: it takes no -c");
	if (opt.format == FORMAT_CSV && opt.column == 0)
		usage_error("--format=csv needs --column=N: which column is the key?");
	if (opt.format != FORMAT_CSV && opt.column != 0)
		usage_error("--column is for --format=csv");
}

static void
take_options(int argc, char **argv)
{
	int option;

	while ((option = getopt_long(argc, argv, "c:n:h:p:U:d:", long_options, NULL)) != -1)
		take_option(option, optarg);
	if (optind == argc)
		usage_error("which trace? Give a file, or - for stdin");
	if (argc - optind > 1)
		usage_error("one trace at a time, not \"%s\" and \"%s\"", argv[optind],
					argv[optind + 1]);
	opt.file = argv[optind];
	if (opt.format == FORMAT_GUESS && opt.column == 0)
		opt.format = guess_format(opt.file);
	check_options();
}

static void
replay_lru(void)
{
	outcome *o = &outcomes[n_outcomes++];

	*o = (outcome) {.kind = "lru", .entries = opt.lru};
	if (opt.lru_auto)
		o->entries = outcomes[0].entries;
	o->hits = lru_hits(o->entries);
}

int
main(int argc, char **argv)
{
	take_options(argc, argv);
	read_trace();
	choose_scan_prefix();
	if (opt.map != NULL || opt.table != NULL)
	{
		control = connect_server();
		catch_signals();
		atexit(drop_created);
	}
	if (opt.map != NULL)
	{
		check_extension();
		run_target(&outcomes[n_outcomes++], true);
	}
	if (opt.table != NULL)
		run_target(&outcomes[n_outcomes++], false);
	PQfinish(control);
	if (opt.lru > 0 || opt.lru_auto)
		replay_lru();
	if (opt.json)
		print_json();
	else
		print_table();
	return 0;
}
