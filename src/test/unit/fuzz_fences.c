/*
 * fuzz_fences.c
 *	  The fuzzer's host of watched maps: its transactions, moments of theirs, and which
 *	  fills these must not, or must, allow.
 */
#include "fuzz_fences.h"

#include "port_posix.h"

static sm_fuzz_moment host; /* oldest is not kept */
static bool published[SM_FUZZ_RUNNING];

void
sm_fuzz_start(void)
{
	host = (sm_fuzz_moment) {.next = 2};
}

static void
begin(void)
{
	published[host.nrunning] = false;
	host.running[host.nrunning++] = host.next++;
}

static void
end(uint32_t i)
{
	host.nrunning--;
	host.running[i] = host.running[host.nrunning];
	published[i] = published[host.nrunning];
}

void
sm_fuzz_turn(uint32_t how)
{
	if (host.nrunning == SM_FUZZ_RUNNING || (host.nrunning > 0 && how % 2 != 0))
		end(how / 2 % host.nrunning);
	else
		begin();
}

uint64_t
sm_fuzz_last(void)
{
	return host.next - 1;
}

sm_fuzz_moment
sm_fuzz_now(void)
{
	sm_fuzz_moment moment = host;

	moment.oldest = moment.next;
	for (uint32_t i = 0; i < moment.nrunning; i++)
	{
		if (moment.running[i] < moment.oldest)
			moment.oldest = moment.running[i];
	}
	return moment;
}

uint64_t
sm_fuzz_fencer(uint32_t how)
{
	if (host.nrunning == 0)
		begin();
	how %= host.nrunning;
	published[how] = true;
	return host.running[how];
}

static bool
had_ended(const sm_fuzz_moment *moment, uint64_t id)
{
	for (uint32_t i = 0; i < moment->nrunning; i++)
	{
		if (moment->running[i] == id)
			return false;
	}
	return id < moment->next;
}

bool
sm_fuzz_covers(void *arg, const sm_fences *fences)
{
	const sm_fuzz_moment *moment = arg;
	bool covers = fences->horizon < moment->oldest;

	sm_check(sm_host_held == 1, "C3: coverage is asked for without the lock");
	for (int stripe = 0; stripe < 2; stripe++)
	{
		covers = covers && fences->stripe[stripe].horizon < moment->oldest;
		for (int i = 0; i < SM_FENCES; i++)
			covers = covers && had_ended(moment, fences->stripe[stripe].fence[i]);
	}
	return covers;
}

uint64_t
sm_fuzz_ended(void)
{
	uint64_t below = UINT64_MAX;

	sm_check(sm_host_held == 1, "C3: who has ended is asked for without the lock");
	for (uint32_t i = 0; i < host.nrunning; i++)
	{
		if (published[i] && host.running[i] < below)
			below = host.running[i];
	}
	return below;
}

void
sm_fuzz_forget(sm_fuzz_log *log)
{
	log->watched = false;
	log->horizon = 0;
	log->greatest = 0;
	log->n = 0;
}

void
sm_fuzz_note(sm_fuzz_log *log, uint32_t key, uint64_t id)
{
	sm_check(log->n < SM_FUZZ_FENCED, "too much is fenced");
	log->fenced[log->n].key = key;
	log->fenced[log->n++].id = id;
	if (id > log->greatest)
		log->greatest = id;
}

bool
sm_fuzz_is_forbidden(const sm_fuzz_log *log, uint32_t key, const sm_fuzz_moment *moment)
{
	if (log->horizon >= moment->oldest)
		return true;
	for (uint32_t i = 0; i < log->n; i++)
	{
		if ((log->fenced[i].key == key || log->fenced[i].key == SM_FUZZ_ALL) &&
			!had_ended(moment, log->fenced[i].id))
			return true;
	}
	return false;
}

bool
sm_fuzz_is_free(const sm_fuzz_log *log, const sm_fuzz_moment *moment)
{
	return moment->oldest > log->horizon && moment->oldest > log->greatest;
}
