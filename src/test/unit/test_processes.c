/*
 * test_processes.c
 *	  A workload in processes that mapped the shared memory elsewhere.
 *
 *	  test_processes workload [seed [seconds]]
 *
 * Each process maps the file at another address than its parent did, and
 * makes the parent's addresses inaccessible: a pointer that leaked into shared
 * memory fails there.  Meanwhile readers are ended or stopped in the middle of
 * what they do, as SIGKILL and SIGSTOP would: nobody must notice (R6).
 */
#define _GNU_SOURCE
#include "workload.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define PAD ((size_t) 64 << 20)

static sm_host host;
static sm_work *work;
static int fd;
static _Atomic pid_t *halting; /* shared: who is to stop */

/* A signal's handler may not end or stop who holds a lock: see port_posix.h. */
static void
die(int signal_number)
{
	(void) signal_number;
	if (sm_host_held == 0)
		_exit(0);
}

static void
halt(int signal_number)
{
	(void) signal_number;
	if (sm_host_held == 0 && atomic_load(halting) == getpid())
		raise(SIGSTOP);
}

static void
move_mapping(int i)
{
	char *parents = host.mapping;
	size_t length = host.length;
	void *there;

	sm_host_detach(&host);
	there = mmap(parents, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
				 -1, 0);
	sm_check(there == parents, "the parent's addresses are in use");
	mmap(NULL, PAD * (size_t) (i + 1), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	sm_host_attach(&host, fd);
	host.engine.hash_mask = work->plan->hash_mask;
	sm_check(host.mapping != parents, "mapped at the same address");
}

static pid_t
start(int i)
{
	pid_t pid = fork();

	sm_check(pid >= 0, "can't fork");
	if (pid == 0)
	{
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		move_mapping(i);
		sm_work_run(work, &host.engine, i);
		_exit(0);
	}
	return pid;
}

/* Sends a signal until it has taken effect; the effect is the state returned. */
static int
send_until(pid_t pid, int signal_number)
{
	int state;

	do
	{
		kill(pid, signal_number);
		usleep(200);
	} while (waitpid(pid, &state, WNOHANG | WUNTRACED) == 0);
	return state;
}

static uint64_t
writes(void)
{
	uint64_t n = 0;

	for (int i = 0; i < work->plan->actors[SM_WRITER]; i++)
		n += atomic_load(&work->operations[i]);
	return n;
}

/* Writers must go on within a second or so while a reader does not. */
static void
stop_reader(pid_t pid)
{
	uint64_t before;
	int state;

	atomic_store(halting, pid);
	state = send_until(pid, SIGUSR2);
	sm_check(WIFSTOPPED(state), "a reader died instead of stopping");
	before = writes();
	for (int i = 0; i < 1000 && writes() < before + 100; i++)
		usleep(1000);
	sm_check(writes() > before, "a stopped reader stops writers");
	atomic_store(halting, 0); /* another signal may be on its way */
	kill(pid, SIGCONT);
}

static void
check_exit(int state)
{
	sm_check(WIFEXITED(state) && WEXITSTATUS(state) == 0, "a process died of %d",
			 state);
}

int
main(int argc, char **argv)
{
	const sm_plan *plan = sm_plan_find(argc > 1 ? argv[1] : "few_keys");
	uint64_t seed = sm_seed(sm_argument(argc, argv, 2, 0));
	uint64_t seconds = sm_argument(argc, argv, 3, 2);
	uint64_t end;
	int readers = plan->actors[SM_READER];
	int first_reader = plan->actors[SM_WRITER];
	int ended = 0;
	pid_t pids[SM_MAX_ACTORS];

	sm_set_context("processes %s, seed %lu\n", plan->name, (unsigned long) seed);
	alarm((unsigned) seconds * 10 + 120);
	signal(SIGUSR1, die);
	signal(SIGUSR2, halt);
	fd = memfd_create("syncmap", 0);
	halting = mmap(NULL, sizeof(*halting), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	sm_host_create(&host, plan->arena_size, 1U << plan->shard_bits, fd, seed);
	work = sm_work_begin(plan, &host, seed);
	fflush(stdout);
	end = sm_now_ns() + seconds * 1000000000;
	for (int i = 0; i < sm_plan_actors(plan); i++)
		pids[i] = start(i);

	for (int turn = 0; sm_now_ns() < end; turn++)
	{
		int i = first_reader + turn % readers;

		usleep(20000);
		if (turn / readers % 2 == 0)
			stop_reader(pids[i]);
		else
		{
			check_exit(send_until(pids[i], SIGUSR1));
			pids[i] = start(i);
			ended++;
		}
	}
	atomic_store(&work->stop, true);
	for (int i = 0; i < sm_plan_actors(plan); i++)
	{
		int state;

		waitpid(pids[i], &state, 0);
		check_exit(state);
	}
	printf("%d readers ended; ", ended);
	sm_work_end(work, &host);
	sm_host_detach(&host);
	return 0;
}
