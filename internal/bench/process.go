package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// A process is what a contender runs in.
type process struct {
	pid     int
	address string // where it listens
}

// tick is the unit of CPU times in /proc.
const tick = time.Second / 100

// cpu answers how much CPU time the process has used, to 10 ms.
func (p process) cpu() (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid))
	if err != nil {
		return 0, fmt.Errorf("reading the CPU time: %w", err)
	}
	return parseStat(string(stat))
}

// parseStat reads user and system time, the 14th and 15th field, from /proc/PID/stat.
// The second field is a file name in parentheses, which may hold anything.
func parseStat(stat string) (time.Duration, error) {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0, errors.New("reading the CPU time: too few fields")
	}
	user, userErr := strconv.ParseUint(fields[11], 10, 32)
	system, systemErr := strconv.ParseUint(fields[12], 10, 32)
	return time.Duration(user+system) * tick, errors.Join(userErr, systemErr)
}

// A heap is what a process has allocated since it started.
type heap struct{ objects, bytes float64 }

func (h heap) plus(o heap, times float64) heap {
	return heap{h.objects + times*o.objects, h.bytes + times*o.bytes}
}

// allocated asks a keyward server for what it has allocated.
func (p process) allocated() (heap, error) {
	text, err := p.metrics()
	if err != nil {
		return heap{}, err
	}
	return parseHeap(text)
}

// waiting asks a keyward server how many agents wait at it.
func (p process) waiting() (int, error) {
	text, err := p.metrics()
	if err != nil {
		return 0, err
	}
	return parseWaiting(text)
}

// metrics asks a keyward server for its metrics in Prometheus's text format.
func (p process) metrics() (string, error) {
	answer, err := http.Get("http://" + p.address + "/metrics")
	if err != nil {
		return "", fmt.Errorf("reading the metrics: %w", err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return "", fmt.Errorf("reading the metrics: %w", err)
	}
	return string(text), nil
}

// parseWaiting reads the number of agents that wait.
func parseWaiting(metrics string) (int, error) {
	for line := range strings.Lines(metrics) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "keyward_agents_waiting "); ok {
			n, err := strconv.ParseFloat(value, 64)
			return int(n), err
		}
	}
	return 0, errors.New("reading the metrics: the number of agents that wait is missing")
}

// parseHeap reads the counters of allocations from metrics in Prometheus's text format.
func parseHeap(metrics string) (h heap, err error) {
	found := 0
	for line := range strings.Lines(metrics) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		var into *float64
		switch name {
		case "go_memstats_mallocs_total":
			into = &h.objects
		case "go_memstats_alloc_bytes_total":
			into = &h.bytes
		default:
			continue
		}
		if *into, err = strconv.ParseFloat(value, 64); err != nil {
			return heap{}, fmt.Errorf("reading the metrics: %w", err)
		}
		found++
	}
	if found != 2 {
		return heap{}, errors.New("reading the metrics: the counters of allocations are missing")
	}
	return h, nil
}

// resident answers the memory of the process that is in RAM, in bytes.
func (p process) resident() (int64, error) {
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.pid))
	if err != nil {
		return 0, fmt.Errorf("reading the resident memory: %w", err)
	}
	fields := strings.Fields(string(statm))
	if len(fields) < 2 {
		return 0, errors.New("reading the resident memory: too few fields")
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}

// files answers how many files the process has open.
func (p process) files() (int, error) {
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.pid))
	if err != nil {
		return 0, fmt.Errorf("counting the open files: %w", err)
	}
	return len(open), nil
}

// A child is a process that this one started.
type child struct {
	name    string
	process process
	end     func() error
	wait    func() error
}

// stop ends the child and waits for it.
func (c *child) stop() error {
	if err := errors.Join(c.end(), c.wait()); err != nil {
		return fmt.Errorf("stopping %s: %w", c.name, err)
	}
	return nil
}
