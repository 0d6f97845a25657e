/*
 * recorder.c
 *	  Has clients work on the same few keys of a map, and prints the histories.
 *
 *	recorder CONNINFO MAP map|rows strong|weak HISTORIES CLIENTS OPERATIONS SEED
 *
 * With rows, they change the rows of a table, MAP_rows, that the map is in front of, and
 * fetch from the map: all together has to be as one register for each key (C1).
 *
 * A client is a process with a connection; OPERATIONS are each client's in a history.
 * Some statements are cancelled, at random moments: whether they were done is unknown.
 * Half of the keys hold numbers, so that they can be incremented; the others hold text
 * of many lengths, all of which follows from a number at its front: what is torn, or of
 * another key, is seen at once, and the process ends.  Values of the same client are
 * never the same.
 */
#include <libpq-fe.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <pthread.h>

#include "history.h"

#define KEYS	6
#define NUMBERS 3 /* of them */

/* Microseconds between two attempts to cancel some statement, at most. */
#define PAUSE 300

#define MAX_CLIENTS 64

#define LONGEST 20000

static const char *const kind_names[] = KIND_NAMES;
static const char *const outcome_names[] = OUTCOME_NAMES;

/* What the processes share. */
typedef struct shared
{
	pthread_barrier_t barrier;
	_Atomic int backends[MAX_CLIENTS]; /* the clients' process IDs in the server */
	operation ops[];				   /* a client's behind those of another */
} shared;

typedef struct client
{
	PGconn *connection;
	const char *map;
	int number;
	int history;
	int64_t values; /* stored so far */
	int64_t seen[KEYS];
	unsigned short random[3];
} client;

static void
fail(const char *what, const char *why)
{
	fprintf(stderr, "recorder: %s: %s\n", what, why);
	_exit(2);
}

static uint64_t
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t) t.tv_sec * 1000000000 + (uint64_t) t.tv_nsec;
}

static int
below(client *c, int n)
{
	return (int) (nrand48(c->random) % n);
}

/* ---- values ---- */

/* How much text belongs to a number. */
static size_t
text_length(int64_t number)
{
	uint64_t h = (uint64_t) number * UINT64_C(0x9e3779b97f4a7c15) >> 40;

	switch (h % 16)
	{
		case 0:
			return LONGEST - h % 1000;
		case 1:
		case 2:
			return 2000 + h % 3000;
		case 3:
		case 4:
		case 5:
			return 200 + h % 300;
		default:
			return h % 64;
	}
}

/* The value that stands for a number. */
static const char *
value_of(int key, int64_t number)
{
	static char text[2][LONGEST + 64];
	static int turn;
	char *value = text[turn = !turn];
	int len = sprintf(value, "%" PRId64, number);
	size_t more = text_length(number);

	if (key < NUMBERS)
		return value;
	value[len++] = ':';
	memset(value + len, 'a' + (int) ((uint64_t) number % 26), more);
	value[len + (int) more] = '\0';
	return value;
}

/* The number that a value stands for. */
static int64_t
number_of(int key, const char *value)
{
	int64_t number = strtoll(value, NULL, 10);

	if (strcmp(value, value_of(key, number)) != 0)
		fail("a value that nobody stored", value);
	return number;
}

/* ---- statements ---- */

typedef struct statement
{
	kind kind;
	const char *name;
	const char *text; /* %s: the map */
} statement;

static const statement of_map[] = {
	{GET, "get", "SELECT syncmap.get('%s', $1)"},
	{GET, "select", "SELECT value FROM %s WHERE key = $1"},
	{PUT, "put", "SELECT syncmap.put('%s', $1, $2)"},
	{PUT, "put_again", "SELECT syncmap.put('%s', $1, $2)"},
	{DELETE, "delete", "SELECT syncmap.delete('%s', $1)"},
	{DELETE, "delete_from", "DELETE FROM %s WHERE key = $1"},
	{GET_OR_PUT, "get_or_put",
	 "SELECT loaded, actual FROM syncmap.get_or_put('%s', $1, $2)"},
	{GET_AND_DELETE, "get_and_delete", "SELECT syncmap.get_and_delete('%s', $1)"},
	{SWAP, "swap", "SELECT syncmap.swap('%s', $1, $2)"},
	{COMPARE_AND_SWAP, "cas", "SELECT syncmap.compare_and_swap('%s', $1, $2, $3)"},
	{COMPARE_AND_DELETE, "cad", "SELECT syncmap.compare_and_delete('%s', $1, $2)"},
	{INCREMENT, "increment", "SELECT syncmap.increment('%s', $1, $2)"},
	{UPDATE, "update", "UPDATE %s SET value = $2 WHERE key = $1"},
	/* what looks at the pair, and again if it has changed */
	{GET_OR_PUT, "upsert_kept",
	 "INSERT INTO %s AS m VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = "
	 "m.value RETURNING value <> $2, value"},
	{INCREMENT, "upsert_added",
	 "INSERT INTO %s AS m VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = "
	 "m.value::bigint + EXCLUDED.value::bigint RETURNING value"},
	{COMPARE_AND_SWAP, "update_where",
	 "UPDATE %s SET value = $3 WHERE key = $1 AND value = $2"},
	{COMPARE_AND_DELETE, "delete_where",
	 "DELETE FROM %s WHERE key = $1 AND value = $2"},
	{GET_AND_DELETE, "delete_returning",
	 "DELETE FROM %s WHERE key = $1 RETURNING value"},
	{CLEAR, "clear", "SELECT syncmap.clear('%s')"},
};

/* xmax is 0 in a row that was inserted, and not in one that was updated. */
#define UPSERT                                                               \
	"INSERT INTO %s_rows VALUES ($1, $2) ON CONFLICT (k) DO UPDATE SET v = " \
	"excluded.v RETURNING xmax = 0"

static const statement of_rows[] = {
	{GET, "fetch", "SELECT syncmap.fetch('%s', $1)"},
	{GET, "fetch_again", "SELECT syncmap.fetch('%s', $1)"},
	{GET, "fetch_more", "SELECT syncmap.fetch('%s', $1)"},
	{GET, "fetch_many", "SELECT (syncmap.fetch_many('%s', ARRAY[$1]))[1]"},
	{PUT, "upsert", UPSERT},
	{PUT, "upsert_again", UPSERT},
	{DELETE, "delete", "DELETE FROM %s_rows WHERE k = $1"},
	{GET_AND_DELETE, "delete_returning",
	 "DELETE FROM %s_rows WHERE k = $1 RETURNING v"},
	{COMPARE_AND_SWAP, "cas", "UPDATE %s_rows SET v = $3 WHERE k = $1 AND v = $2"},
	{COMPARE_AND_DELETE, "cad", "DELETE FROM %s_rows WHERE k = $1 AND v = $2"},
	{UPDATE, "update", "UPDATE %s_rows SET v = $2 WHERE k = $1"},
	{CLEAR, "clear", "DELETE FROM %s_rows WHERE k LIKE 'h%%'"},
};

#define LENGTH(array) (int) (sizeof(array) / sizeof(array[0]))

/* What the clients do; the last one is rare. */
static const statement *statements = of_map;
static int nstatements = LENGTH(of_map);

static void
prepare(client *c)
{
	for (int i = 0; i < nstatements; i++)
	{
		char text[512];
		PGresult *result;

		snprintf(text, sizeof(text), statements[i].text, c->map);
		result = PQprepare(c->connection, statements[i].name, text, 0, NULL);
		if (PQresultStatus(result) != PGRES_COMMAND_OK)
			fail(text, PQerrorMessage(c->connection));
		PQclear(result);
	}
}

static bool
takes_value(kind kind)
{
	return kind == PUT || kind == GET_OR_PUT || kind == SWAP ||
		kind == COMPARE_AND_SWAP || kind == UPDATE;
}

static bool
compares(kind kind)
{
	return kind == COMPARE_AND_SWAP || kind == COMPARE_AND_DELETE;
}

/* Notes what a statement answered. */
static void
note_answer(client *c, const PGresult *result, operation *op)
{
	int columns = PQnfields(result);
	int last = columns - 1;
	bool has_row = PQntuples(result) == 1;

	op->outcome = DONE;
	if (op->kind == CLEAR)
		return;
	if (PQntuples(result) > 1 || atoi(PQcmdTuples((PGresult *) result)) > 1)
		fail("a key is there twice", "");
	if (columns == 0) /* DELETE and UPDATE */
		op->outcome = strcmp(PQcmdTuples((PGresult *) result), "1") == 0 ? YES : NO;
	else if (op->kind == GET_OR_PUT || op->kind == PUT || op->kind == DELETE ||
			 compares(op->kind))
		op->outcome = PQgetvalue(result, 0, 0)[0] == 't' ? YES : NO;
	if (op->kind == GET || op->kind == GET_OR_PUT || op->kind == GET_AND_DELETE ||
		op->kind == SWAP || op->kind == INCREMENT)
	{
		if (has_row && !PQgetisnull(result, 0, last))
			op->value = number_of(op->key, PQgetvalue(result, 0, last));
		c->seen[op->key] = op->value;
	}
}

/* Runs a statement, and notes what became of it. */
static void
run(client *c, const statement *s, operation *op)
{
	char key[64];
	const char *values[3];
	char by[24];
	int n = 0;
	PGresult *result;
	const char *state;

	snprintf(key, sizeof(key), "h%d:%d", c->history, op->key);
	if (op->key >= 0)
		values[n++] = key;
	if (compares(op->kind))
		values[n++] = value_of(op->key, op->expected);
	if (takes_value(op->kind))
		values[n++] = value_of(op->key, op->argument);
	if (op->kind == INCREMENT)
	{
		snprintf(by, sizeof(by), "%" PRId64, op->argument);
		values[n++] = by;
	}

	op->begin = now();
	result = PQexecPrepared(c->connection, s->name, n, values, NULL, NULL, 0);
	op->end = now();

	switch (PQresultStatus(result))
	{
		case PGRES_TUPLES_OK:
		case PGRES_COMMAND_OK:
			note_answer(c, result, op);
			break;
		default:
			state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
			if (state == NULL || strcmp(state, "57014") != 0) /* cancelled */
				fail(s->name, PQerrorMessage(c->connection));
			op->outcome = UNKNOWN;
	}
	PQclear(result);
}

/* Draws an operation, and does it. */
static void
operate(client *c, operation *op)
{
	const statement *s =
		&statements[below(c, below(c, 20) == 0 ? nstatements : nstatements - 1)];

	*op = (operation) {.client = c->number,
					   .key = below(c, KEYS),
					   .kind = s->kind,
					   .argument = NONE,
					   .expected = NONE,
					   .value = NONE};
	if (s->kind == CLEAR)
		op->key = -1;
	if (s->kind == INCREMENT)
	{
		op->key %= NUMBERS;
		op->argument = 1 + below(c, 3);
	}
	/* increments leave values apart */
	if (takes_value(s->kind))
		op->argument = ((int64_t) (c->number + 1) << 48) + (++c->values << 16);
	if (compares(s->kind))
		op->expected = c->seen[op->key] != NONE ? c->seen[op->key] : 1;
	run(c, s, op);
}

static PGconn *
connect_to(const char *conninfo)
{
	PGconn *connection = PQconnectdb(conninfo);

	if (PQstatus(connection) != CONNECTION_OK)
		fail("no connection", PQerrorMessage(connection));
	return connection;
}

static void
be_client(client *c, const char *conninfo, shared *all, int histories, int n)
{
	c->connection = connect_to(conninfo);
	prepare(c);
	all->backends[c->number] = PQbackendPID(c->connection);
	for (c->history = 0; c->history < histories; c->history++)
	{
		for (int i = 0; i < KEYS; i++)
			c->seen[i] = NONE;
		pthread_barrier_wait(&all->barrier);
		for (int i = 0; i < n; i++)
			operate(c, &all->ops[c->number * n + i]);
		pthread_barrier_wait(&all->barrier);
	}
	PQfinish(c->connection);
	_exit(0);
}

/* A process that does not outlive the recorder, however that ends. */
static pid_t
fork_child(void)
{
	pid_t recorder = getpid();
	pid_t child = fork();

	if (child == 0)
	{
		signal(SIGCHLD, SIG_DFL);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != recorder)
			_exit(1);
	}
	return child;
}

/* Cancels whatever some client has the server do, until it is killed itself. */
static void
be_canceller(client *c, const char *conninfo, shared *all, int clients)
{
	c->connection = connect_to(conninfo);
	/* clients go */
	PQclear(PQexec(c->connection, "SET client_min_messages = error"));
	for (;;)
	{
		char command[64];

		snprintf(command, sizeof(command), "SELECT pg_cancel_backend(%d)",
				 all->backends[below(c, clients)]);
		PQclear(PQexec(c->connection, command));
		usleep((useconds_t) below(c, PAUSE));
	}
}

/* ---- the histories ---- */

static void
print_value(int64_t value)
{
	if (value == NONE)
		printf("- ");
	else
		printf("%" PRId64 " ", value);
}

static void
print_history(const operation *ops, int n, int number, const char *model)
{
	printf("history %d %s\n", number, model);
	for (int i = 0; i < n; i++)
	{
		const operation *op = &ops[i];

		printf("%d %d %s ", op->client, op->key, kind_names[op->kind]);
		print_value(op->argument);
		print_value(op->expected);
		printf("%s ", outcome_names[op->outcome]);
		print_value(op->value);
		printf("%" PRIu64 " %" PRIu64 "\n", op->begin, op->end);
	}
	printf("end\n");
}

/* A client is gone: so are we, and the others. */
static void
lose_client(int signal_number)
{
	int status;

	(void) signal_number;
	while (waitpid(-1, &status, WNOHANG) > 0)
	{
		if (status != 0)
		{
			kill(0, SIGTERM);
			_exit(2);
		}
	}
}

int
main(int argc, char **argv)
{
	int histories, clients, n;
	pid_t canceller = 0;
	pthread_barrierattr_t attributes;
	shared *all;
	size_t size;

	if (argc != 9)
	{
		fprintf(
			stderr,
			"usage: recorder CONNINFO MAP map|rows strong|weak HISTORIES CLIENTS OPERATIONS SEED\n");
		return 2;
	}
	if (strcmp(argv[3], "rows") == 0)
	{
		statements = of_rows;
		nstatements = LENGTH(of_rows);
	}
	histories = atoi(argv[5]);
	clients = atoi(argv[6]);
	if (clients < 1 || clients > MAX_CLIENTS)
		fail("clients", argv[6]);
	n = atoi(argv[7]);
	size = sizeof(shared) + (size_t) clients * (size_t) n * sizeof(operation);
	all = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (all == MAP_FAILED)
		fail("no memory", "mmap");
	pthread_barrierattr_init(&attributes);
	pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
	pthread_barrier_init(&all->barrier, &attributes, (unsigned) clients + 1);

	setpgid(0, 0);
	sigaction(SIGCHLD,
			  &(struct sigaction) {.sa_handler = lose_client, .sa_flags = SA_RESTART},
			  NULL);
	for (int i = 0; i < clients; i++)
	{
		client c = {.map = argv[2],
					.number = i,
					.random = {(unsigned short) i, (unsigned short) atoi(argv[8]),
							   0x330e}};

		if (fork_child() == 0)
			be_client(&c, argv[1], all, histories, n);
	}
	for (int h = 0; h < histories; h++)
	{
		pthread_barrier_wait(&all->barrier);
		if (h == 0 && (canceller = fork_child()) == 0)
			be_canceller(&(client) {.random = {1, 2, 3}}, argv[1], all, clients);
		pthread_barrier_wait(&all->barrier);
		print_history(all->ops, clients * n, h, argv[4]);
	}
	signal(SIGCHLD, SIG_DFL);
	kill(canceller, SIGKILL);
	return 0;
}
