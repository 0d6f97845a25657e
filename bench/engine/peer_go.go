// peer_go.go
//
//	Go's sync.Map, and a Go map under a Mutex or an RWMutex: the workloads of
//	engine_bench.c, and the same lines of JSON.
//
//	peer_go sync.Map|Mutex|RWMutex KEYS THREADS SECONDS WORKLOAD...
//
// Keys and values are arrays, as Go keeps them best: a map has them in its table, and
// sync.Map, which keeps interfaces, allocates the key and the value of each put, but none
// for a get. The counter of sync.Map is an atomic number that the map leads to.
package main

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"runtime"
	"sort"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const valueLen = 96

type key [16]byte
type value [valueLen]byte

type table interface {
	get(k key, to *value) bool
	put(k key, v value)
	remove(k key)
	increment()
}

type syncMap struct{ m sync.Map }

func (t *syncMap) get(k key, to *value) bool {
	v, ok := t.m.Load(k)
	if ok {
		*to = *v.(*value)
	}
	return ok
}
func (t *syncMap) put(k key, v value) { t.m.Store(k, &v) }
func (t *syncMap) remove(k key)       { t.m.Delete(k) }
func (t *syncMap) increment() {
	v, ok := t.m.Load("counter")
	if !ok {
		v, _ = t.m.LoadOrStore("counter", new(atomic.Int64))
	}
	v.(*atomic.Int64).Add(1)
}

type mutexMap struct {
	lock    sync.Mutex
	m       map[key]value
	counter map[string]int64
}

func (t *mutexMap) get(k key, to *value) bool {
	t.lock.Lock()
	v, ok := t.m[k]
	*to = v
	t.lock.Unlock()
	return ok
}
func (t *mutexMap) put(k key, v value) {
	t.lock.Lock()
	t.m[k] = v
	t.lock.Unlock()
}
func (t *mutexMap) remove(k key) {
	t.lock.Lock()
	delete(t.m, k)
	t.lock.Unlock()
}
func (t *mutexMap) increment() {
	t.lock.Lock()
	t.counter["counter"]++
	t.lock.Unlock()
}

type rwMutexMap struct {
	lock    sync.RWMutex
	m       map[key]value
	counter map[string]int64
}

func (t *rwMutexMap) get(k key, to *value) bool {
	t.lock.RLock()
	v, ok := t.m[k]
	*to = v
	t.lock.RUnlock()
	return ok
}
func (t *rwMutexMap) put(k key, v value) {
	t.lock.Lock()
	t.m[k] = v
	t.lock.Unlock()
}
func (t *rwMutexMap) remove(k key) {
	t.lock.Lock()
	delete(t.m, k)
	t.lock.Unlock()
}
func (t *rwMutexMap) increment() {
	t.lock.Lock()
	t.counter["counter"]++
	t.lock.Unlock()
}

// splitmix64, as in check.h
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

var nkeys uint64
var draws []uint32

func drawZipf(theta float64) {
	zeta := 0.0
	for i := uint64(1); i <= nkeys; i++ {
		zeta += math.Pow(1/float64(i), theta)
	}
	alpha := 1 / (1 - theta)
	eta := (1 - math.Pow(2/float64(nkeys), 1-theta)) / (1 - (1+math.Pow(0.5, theta))/zeta)
	draws = make([]uint32, 1<<20)
	state := uint64(42)
	for i := range draws {
		state++
		u := float64(mix(state)>>11) / float64(uint64(1)<<53)
		uz := u * zeta
		rank := uint64(0)
		if uz >= 1 {
			rank = 1
		}
		if uz >= 1+math.Pow(0.5, theta) {
			rank = uint64(float64(nkeys) * math.Pow(eta*u-eta+1, alpha))
		}
		draws[i] = uint32(mix(rank) % nkeys)
	}
}

type random struct{ state uint64 }

func (r *random) next() uint64 {
	r.state += 0x9e3779b97f4a7c15
	return mix(r.state)
}

func (r *random) draw() uint64 {
	dice := r.next()
	if draws != nil {
		return uint64(draws[dice>>44])
	}
	return (dice >> 32) * nkeys >> 32
}

func check(ok bool, what string) {
	if !ok {
		fmt.Fprintln(os.Stderr, "FAILED:", what)
		os.Exit(1)
	}
}

func newKey(number uint64) (k key) {
	binary.LittleEndian.PutUint64(k[:], mix(number))
	binary.LittleEndian.PutUint64(k[8:], number)
	return
}

func get(t table, number uint64, to *value) {
	check(t.get(newKey(number), to) && binary.LittleEndian.Uint64(to[8:]) == number, "a key is missing")
}

func put(t table, number uint64) {
	var v value
	binary.LittleEndian.PutUint64(v[8:], number)
	t.put(newKey(number), v)
}

func call(t table, workload string, reads uint64, r *random, to *value) {
	dice := r.next() % 100
	switch workload {
	case "miss":
		check(!t.get(newKey(nkeys+1+r.draw()), to), "what nobody put is there")
	case "hot":
		if dice < reads {
			get(t, 7, to)
		} else {
			put(t, 7)
		}
	case "counter":
		t.increment()
	case "remove":
		number := r.draw()
		if dice < reads {
			t.get(newKey(number), to)
		} else if dice < reads+(100-reads)/2 {
			put(t, number)
		} else {
			t.remove(newKey(number))
		}
	default:
		if dice < reads {
			get(t, r.draw(), to)
		} else {
			put(t, r.draw())
		}
	}
}

func measure(name string, t table, workload string, threads uint64, seconds float64, distribution string, quiet bool) {
	reads := map[string]uint64{"get": 100, "95": 95, "80": 80, "60": 60, "put": 0, "hot": 80, "remove": 50}[workload]
	var stop atomic.Bool
	var all sync.WaitGroup
	calls := make([]uint64, threads)
	times := make([][]time.Duration, threads)
	start := time.Now()
	for i := uint64(0); i < threads; i++ {
		all.Add(1)
		go func(i uint64) {
			defer all.Done()
			runtime.LockOSThread()
			r := &random{state: i + 1}
			to := new(value)
			n := uint64(0)
			taken := make([]time.Duration, 0, 1<<20)
			if workload == "insert" {
				for number := i; number < nkeys; number += threads {
					began := time.Now()
					put(t, number)
					if took := time.Since(began); n%32 == 0 {
						taken = append(taken, took)
					}
					n++
				}
			} else {
				for !stop.Load() {
					began := time.Now()
					call(t, workload, reads, r, to)
					taken = append(taken, time.Since(began))
					for j := 1; j < 32; j++ {
						call(t, workload, reads, r, to)
					}
					n += 32
				}
			}
			calls[i] = n
			times[i] = taken
		}(i)
	}
	if workload != "insert" {
		time.Sleep(time.Duration(seconds * 1e9))
		stop.Store(true)
	}
	end := time.Now()
	all.Wait()
	if workload == "insert" {
		end = time.Now()
	}
	if quiet {
		return
	}
	sum := uint64(0)
	var taken []time.Duration
	for i := range calls {
		sum += calls[i]
		taken = append(taken, times[i]...)
	}
	sort.Slice(taken, func(a, b int) bool { return taken[a] < taken[b] })
	at := func(share float64) int64 {
		if len(taken) == 0 {
			return 0
		}
		return taken[int(float64(len(taken)-1)*share)].Nanoseconds()
	}
	var memory runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&memory)
	fmt.Printf("{\"peer\": \"%s\", \"keys\": %d, \"threads\": %d, \"distribution\": \"%s\", \"workload\": \"%s\", "+
		"\"mops\": %.3f, \"p50\": %d, \"p99\": %d, \"p999\": %d, \"memory\": %d}\n",
		name, nkeys, threads, distribution, workload, float64(sum)*1e3/float64(end.Sub(start).Nanoseconds()),
		at(0.5), at(0.99), at(0.999), memory.HeapAlloc)
}

func main() {
	check(len(os.Args) > 5, "usage: peer_go sync.Map|Mutex|RWMutex KEYS THREADS SECONDS WORKLOAD...")
	nkeys, _ = strconv.ParseUint(os.Args[2], 10, 64)
	threads, _ := strconv.ParseUint(os.Args[3], 10, 64)
	seconds, _ := strconv.ParseFloat(os.Args[4], 64)
	runtime.GOMAXPROCS(max(int(threads), runtime.NumCPU()))
	var t table
	name := "Go map+" + os.Args[1]
	switch os.Args[1] {
	case "sync.Map":
		t = &syncMap{}
		name = "Go sync.Map"
	case "Mutex":
		t = &mutexMap{m: make(map[key]value), counter: make(map[string]int64)}
	default:
		t = &rwMutexMap{m: make(map[key]value), counter: make(map[string]int64)}
	}
	inserts := false
	for _, workload := range os.Args[5:] {
		inserts = inserts || workload == "insert"
	}
	measure(name, t, "insert", threads, 0, "uniform", !inserts)
	distribution := "uniform"
	for _, workload := range os.Args[5:] {
		switch workload {
		case "uniform":
			distribution, draws = workload, nil
		case "zipf":
			distribution = workload
			drawZipf(0.99)
		case "insert", "many":
		default:
			measure(name, t, workload, threads, seconds, distribution, false)
		}
	}
}
