package main

import (
	"errors"
	"fmt"
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
