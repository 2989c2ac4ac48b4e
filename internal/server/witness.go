package server

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/keyward/keyward/internal/publish"
)

// witnesses collects how the witnesses of the audit log stand.
type witnesses struct {
	read                func() []publish.Status
	now                 func() time.Time
	age, size, conflict *prometheus.Desc
}

// Witnesses adds the figures of the audit log's witnesses, which read answers each time.
func (m *Metrics) Witnesses(read func() []publish.Status, now func() time.Time) {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("keyward_witness_"+name, help, []string{"witness"}, nil)
	}
	m.registry.MustRegister(witnesses{
		read, now,
		desc("cosignature_age_seconds", "Time since the witness's newest cosignature; none before the first."),
		desc("cosigned_records", "Records of the newest checkpoint that the witness cosigned."),
		desc("conflict", "1 if the witness has seen another history of the audit log. Anything but 0 is an incident."),
	})
}

// Describe implements prometheus.Collector.
func (w witnesses) Describe(out chan<- *prometheus.Desc) { prometheus.DescribeByCollect(w, out) }

// Collect implements prometheus.Collector.
func (w witnesses) Collect(out chan<- prometheus.Metric) {
	for _, s := range w.read() {
		gauge := func(d *prometheus.Desc, v float64) {
			out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, s.Witness)
		}
		if !s.At.IsZero() {
			gauge(w.age, max(0, w.now().Sub(s.At).Seconds()))
		}
		gauge(w.size, float64(s.Size))
		conflict := 0.0
		if s.Conflict {
			conflict = 1
		}
		gauge(w.conflict, conflict)
	}
}
