package server

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// A Watch is what is known of the keys that others issued, at one moment.
type Watch struct {
	Keys      []WatchedKey // the most urgent first; not all of them
	Scans     []WatchedScan
	Incidents map[WatchedIncidents]int
	Nodes     map[WatchedNodes]int
	Waves     []WatchedWave // of some rollouts
	Agents    int           // that wait at this server

	Repositories []WatchedRepository
}

// A WatchedRepository is the last complete look at a repository for leaks.
type WatchedRepository struct {
	Account, Name string
	Age           float64 // seconds; since it was entered if there was none
	Limit         float64 // seconds, from which on that is too long
}

// WatchedNodes are what nodes are counted by.
type WatchedNodes struct{ Account, State string }

// A WatchedWave is how the members of a wave stand.
type WatchedWave struct {
	Account, Rollout, Wave string
	Members, There, Lost   int
}

// A WatchedKey is a key that is due soon, or was.
type WatchedKey struct {
	Account, Provider, Key string
	Left                   float64 // seconds; negative when it is over
}

// A WatchedScan is the last look at an account's expiries.
type WatchedScan struct {
	Account  string
	Age      float64 // seconds
	Seen, Of int     // keys
}

// WatchedIncidents are what open incidents are counted by.
type WatchedIncidents struct {
	Account, Severity string
	Acknowledged      bool
	Unheard           bool // nobody was reached
}

// watch collects a Watch.
type watch struct {
	read                                func() Watch
	expiry, age, seen, keys, incidents  *prometheus.Desc
	nodes, members, there, lost, agents *prometheus.Desc
	complete, limit                     *prometheus.Desc
}

// Watch adds the figures of the inventory, which read answers each time. A key's id is a
// label: it is no secret, but no stranger's business either.
func (m *Metrics) Watch(read func() Watch) {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	m.registry.MustRegister(watch{
		read,
		desc("keyward_accesskey_expiry_seconds", "Time left of access keys that are due within 45 days, at most 1000, the most urgent first; negative when it is over.", "account", "provider", "key"),
		desc("keyward_expiry_scan_age_seconds", "Time since the last look at all expiries.", "account"),
		desc("keyward_expiry_scan_seen", "Access keys that the last look at all expiries saw.", "account"),
		desc("keyward_expiry_scan_keys", "Access keys that there were to see.", "account"),
		desc("keyward_incidents", "Open incidents.", "account", "severity", "acknowledged", "unheard"),
		desc("keyward_nodes", "Nodes that hold secrets, by how they do: live, lost or drained.", "account", "state"),
		desc("keyward_rollout_members", "Nodes that are to have what a rollout delivers, by wave; of at most 100 rollouts of an account.", "account", "rollout", "wave"),
		desc("keyward_rollout_there", "Of these nodes those that have it.", "account", "rollout", "wave"),
		desc("keyward_rollout_lost", "Of these nodes those that do not have it and are silent.", "account", "rollout", "wave"),
		desc("keyward_agents_waiting", "Agents that wait at this server for something new."),
		desc("keyward_repository_scan_age_seconds", "Time since the last complete look at a watched repository, or since it was entered.", "account", "repository"),
		desc("keyward_repository_scan_limit_seconds", "The age of the last complete look at a watched repository from which on it is too old.", "account", "repository"),
	})
}

// Describe implements prometheus.Collector.
func (w watch) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{w.expiry, w.age, w.seen, w.keys, w.incidents, w.nodes, w.members, w.there, w.lost, w.agents, w.complete, w.limit} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (w watch) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	now := w.read()
	for _, k := range now.Keys {
		gauge(w.expiry, k.Left, k.Account, k.Provider, k.Key)
	}
	for _, s := range now.Scans {
		gauge(w.age, s.Age, s.Account)
		gauge(w.seen, float64(s.Seen), s.Account)
		gauge(w.keys, float64(s.Of), s.Account)
	}
	for i, n := range now.Incidents {
		gauge(w.incidents, float64(n), i.Account, i.Severity, strconv.FormatBool(i.Acknowledged), strconv.FormatBool(i.Unheard))
	}
	for of, n := range now.Nodes {
		gauge(w.nodes, float64(n), of.Account, of.State)
	}
	for _, v := range now.Waves {
		gauge(w.members, float64(v.Members), v.Account, v.Rollout, v.Wave)
		gauge(w.there, float64(v.There), v.Account, v.Rollout, v.Wave)
		gauge(w.lost, float64(v.Lost), v.Account, v.Rollout, v.Wave)
	}
	for _, r := range now.Repositories {
		gauge(w.complete, r.Age, r.Account, r.Name)
		gauge(w.limit, r.Limit, r.Account, r.Name)
	}
	gauge(w.agents, float64(now.Agents))
}
