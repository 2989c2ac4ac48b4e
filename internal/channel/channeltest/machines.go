package channeltest

import (
	"encoding/base64"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A PagerDuty is a service with an integration of the Events API v2.
type PagerDuty struct {
	Log
	Key       string
	incidents map[string]string // guarded by Log: state by dedup_key
}

// Incidents answers the state of each incident, "triggered", "acknowledged" or "resolved".
func (p *PagerDuty) Incidents() map[string]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.incidents)
}

// ServeHTTP implements http.Handler.
func (p *PagerDuty) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var in struct {
		Key     string `json:"routing_key"`
		Action  string `json:"event_action"`
		Dedup   string `json:"dedup_key"`
		Client  string
		Payload *struct {
			Summary, Source, Severity, Timestamp, Component string
			Details                                         map[string]string `json:"custom_details"`
		}
		Links []struct{ Href, Text string }
	}
	body, err := read(r, &in)
	problem := ""
	severities := map[string]bool{"critical": true, "error": true, "warning": true, "info": true}
	switch {
	case r.URL.Path != "/v2/enqueue":
		http.NotFound(w, r)
		return
	case err != nil:
		problem = err.Error()
	case in.Key != p.Key:
		problem = "'routing_key' is invalid"
	case in.Dedup == "" || len(in.Dedup) > 255:
		problem = "'dedup_key' is invalid"
	case in.Action == "trigger" && (in.Payload == nil || in.Payload.Summary == "" || len([]rune(in.Payload.Summary)) > 1024 || in.Payload.Source == "" || !severities[in.Payload.Severity]):
		problem = "'payload' is invalid"
	case in.Payload != nil && stamp(in.Payload.Timestamp).IsZero():
		problem = "'timestamp' is invalid"
	case len(body) > 512<<10:
		problem = "the event is too large"
	}
	state := map[string]string{"trigger": "triggered", "acknowledge": "acknowledged", "resolve": "resolved"}[in.Action]
	if problem != "" || state == "" {
		write(w, http.StatusBadRequest, map[string]any{"status": "invalid event", "message": "Event object is invalid", "errors": []string{problem}})
		return
	}
	if p.incidents == nil {
		p.incidents = map[string]string{}
	}
	if old := p.incidents[in.Dedup]; in.Action == "trigger" || old != "" && old != "resolved" {
		if !(in.Action == "trigger" && old == "acknowledged") { // a trigger does not take an acknowledgement back
			p.incidents[in.Dedup] = state
		}
	}
	p.take(body)
	write(w, http.StatusAccepted, map[string]string{"status": "success", "message": "Event processed", "dedup_key": in.Dedup})
}

func stamp(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}
	}
	return t
}

// An Alertmanager takes alerts, for Authorization if that is set.
type Alertmanager struct {
	Log
	Authorization string
	Now           func() time.Time
	alerts        map[string]time.Time // guarded by Log: when each set of labels ends
}

// Firing answers the severities of the alerts of an incident that fire.
func (a *Alertmanager) Firing(incident string) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []string
	for _, severity := range []string{"info", "warning", "critical", "emergency"} {
		if a.alerts[incident+"/"+severity].After(a.Now()) {
			out = append(out, severity)
		}
	}
	return out
}

// ServeHTTP implements http.Handler.
func (a *Alertmanager) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var in []struct {
		Labels, Annotations            map[string]string
		StartsAt, EndsAt, GeneratorURL string
	}
	body, err := read(r, &in)
	switch {
	case r.URL.Path != "/api/v2/alerts":
		http.NotFound(w, r)
		return
	case r.Header.Get("Authorization") != a.Authorization:
		http.Error(w, "unauthorized", http.StatusUnauthorized)
		return
	case err != nil:
		write(w, http.StatusBadRequest, err.Error())
		return
	}
	if a.alerts == nil {
		a.alerts = map[string]time.Time{}
	}
	for _, alert := range in {
		starts, ends := stamp(alert.StartsAt), a.Now().Add(5*time.Minute)
		if alert.EndsAt != "" {
			ends = stamp(alert.EndsAt)
		}
		if alert.Labels["alertname"] == "" || starts.IsZero() || ends.Before(starts) {
			write(w, http.StatusBadRequest, "start time must be before end time")
			return
		}
		a.alerts[alert.Labels["incident"]+"/"+alert.Labels["severity"]] = ends
	}
	a.take(body)
	w.WriteHeader(http.StatusOK)
}

// A Receiver is what a site writes to receive webhooks: it verifies the signature, refuses
// what is older than five minutes, and ignores what it has seen.
type Receiver struct {
	Log
	Secret string // whsec_…
	Now    func() time.Time
	seen   map[string]bool // guarded by Log
}

// ServeHTTP implements http.Handler.
func (v *Receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	key, bad := base64.StdEncoding.DecodeString(strings.TrimPrefix(v.Secret, "whsec_"))
	id, at := r.Header.Get("webhook-id"), r.Header.Get("webhook-timestamp")
	seconds, wrong := strconv.ParseInt(at, 10, 64)
	switch {
	case err != nil || bad != nil || wrong != nil || id == "" || v.Now().Sub(time.Unix(seconds, 0)).Abs() > 5*time.Minute,
		r.Header.Get("webhook-signature") != "v1,"+sum(string(key), id+"."+at+"."+string(body)):
		http.Error(w, "the signature is wrong", http.StatusUnauthorized)
		return
	case v.seen == nil:
		v.seen = map[string]bool{}
	}
	if !v.seen[id] {
		v.seen[id] = true
		v.take(body)
	}
	w.WriteHeader(http.StatusNoContent)
}
