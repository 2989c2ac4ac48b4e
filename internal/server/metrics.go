package server

import (
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics are the server's Prometheus metrics. No label holds a caller's text, but for the
// names of providers and the ids of keys that are due.
type Metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	steps    *prometheus.CounterVec // of rotations
	halts    *prometheus.CounterVec
	hot      sync.Map // of outcome to *series, so that labels are looked up once
	token    tokenMetrics
}

// An outcome is what requests are counted by, series what counts them.
type (
	outcome struct{ dialect, operation, result string }
	series  struct {
		requests prometheus.Counter
		seconds  prometheus.Observer
	}
)

// Gauges are values that are read when the metrics are.
type Gauges struct {
	Sealed       func() float64 // 1 while sealed
	AuditSize    func() float64 // records of this node's audit log
	TamperedRows func() float64 // rows that were not what keyward wrote, since the start
	Scrubbed     func() float64 // Unix seconds of the newest scrub; 0 before the first
	Findings     func() float64 // of the newest scrub
	Connections  func() float64 // open ones of the API
	Displaced    func() float64 // connections that were closed for others, since the start
	ClockJumped  func() float64 // 1 while the clock is not believed
	ClockOffset  func() float64 // seconds by which it is away from what it should be
}

// NewMetrics makes the metrics of one process.
func NewMetrics(version string, g Gauges) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "keyward_requests_total", Help: "Requests by dialect, operation and result.",
		}, []string{"dialect", "operation", "result"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "keyward_request_duration_seconds", Help: "Time from the request's headers to its answer.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
		}, []string{"dialect"}),
		steps: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "keyward_rotation_steps_total", Help: "Steps that rotations of access keys came to, by this server's work.",
		}, []string{"step"}),
		halts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "keyward_rotation_halts_total", Help: "Times that a rotation halted until a person lets it go on, by reason.",
		}, []string{"reason"}),
	}
	gauge := func(name, help string, f func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f)
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "keyward_build_info", Help: "Always 1; the label says which release this is.",
		ConstLabels: prometheus.Labels{"version": version},
	})
	build.Set(1)
	m.registry.MustRegister(m.requests, m.seconds, m.steps, m.halts, build,
		gauge("keyward_sealed", "1 while the server is sealed.", g.Sealed),
		gauge("keyward_audit_records", "Records in this node's audit log.", g.AuditSize),
		gauge("keyward_tampered_rows", "Database rows that were not what keyward wrote, or not there, since the start. Anything but 0 is an incident.", g.TamperedRows),
		gauge("keyward_scrub_timestamp_seconds", "When the newest scrub began, as Unix time; 0 before the first.", g.Scrubbed),
		gauge("keyward_scrub_findings", "Findings of the newest scrub. Anything but 0 is an incident.", g.Findings),
		gauge("keyward_connections", "Open connections to the API.", g.Connections),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "keyward_connections_displaced_total", Help: "Connections without a request that were closed because there were too many.",
		}, g.Displaced),
		gauge("keyward_clock_jumped", "1 while the clock is not believed and no job is done.", g.ClockJumped),
		gauge("keyward_clock_offset_seconds", "How far the clock is from what it should be.", g.ClockOffset),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Stepped counts that a rotation came to a step. Safe for concurrent use.
func (m *Metrics) Stepped(step string) { m.steps.WithLabelValues(step).Inc() }

// Halted counts that a rotation halted. Safe for concurrent use.
func (m *Metrics) Halted(reason string) { m.halts.WithLabelValues(reason).Inc() }

// tokenMetrics are those of the hardware token. They are there once it is asked for.
type tokenMetrics struct {
	once    sync.Once
	ready   prometheus.Gauge
	lost    prometheus.Gauge
	calls   *prometheus.CounterVec
	seconds *prometheus.HistogramVec
}

func (m *Metrics) tokenMetrics() *tokenMetrics {
	t := &m.token
	t.once.Do(func() {
		t.ready = prometheus.NewGauge(prometheus.GaugeOpts{Name: "keyward_hsm_ready", Help: "1 while the hardware token can be used."})
		t.lost = prometheus.NewGauge(prometheus.GaugeOpts{Name: "keyward_hsm_lost", Help: "How often the hardware token was lost since its helper began."})
		t.calls = prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "keyward_hsm_calls_total", Help: "Calls of the hardware token by operation and result.",
		}, []string{"operation", "result"})
		t.seconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "keyward_hsm_call_duration_seconds", Help: "Time that calls of the hardware token take.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5, 30},
		}, []string{"operation"})
		m.registry.MustRegister(t.ready, t.lost, t.calls, t.seconds)
	})
	return t
}

// TokenState notes whether the hardware token can be used, and how often it was lost.
func (m *Metrics) TokenState(ready bool, lost int) {
	t := m.tokenMetrics()
	t.lost.Set(float64(lost))
	if ready {
		t.ready.Set(1)
	} else {
		t.ready.Set(0)
	}
}

// TokenCall notes how a call of the hardware token ended.
func (m *Metrics) TokenCall(operation string, took time.Duration, err error) {
	t := m.tokenMetrics()
	result := "ok"
	if err != nil {
		result = "failed"
	}
	t.calls.WithLabelValues(operation, result).Inc()
	t.seconds.WithLabelValues(operation).Observe(took.Seconds())
}

// Handler serves the metrics in Prometheus's text format.
func (m *Metrics) Handler() http.Handler {
	// An answer costs more than a refused request.
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}

func (m *Metrics) observe(x *Exchange, took time.Duration) {
	o := outcome{x.dialect, x.operation, x.result}
	s, known := m.hot.Load(o)
	if !known {
		s, _ = m.hot.LoadOrStore(o, &series{m.requests.WithLabelValues(o.dialect, o.operation, o.result), m.seconds.WithLabelValues(o.dialect)})
	}
	s.(*series).requests.Inc()
	s.(*series).seconds.Observe(took.Seconds())
}
