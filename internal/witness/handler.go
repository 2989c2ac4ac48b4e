package witness

import (
	"errors"
	"fmt"
	"io"
	"net/http"
)

// Handler serves the protocol: POST /add-checkpoint and GET /<origin hash>/checkpoint,
// and GET /healthz for who watches the machine.
func (w *Witness) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /add-checkpoint", w.serveAdd)
	mux.HandleFunc("GET /{hash}/checkpoint", w.serveCheckpoint)
	mux.HandleFunc("GET /healthz", func(out http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(out, "ok\n") })
	return mux
}

func (w *Witness) serveAdd(out http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(out, r.Body, MaxBody))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		http.Error(out, "the request is too large", http.StatusRequestEntityTooLarge)
		return
	}
	if err != nil {
		http.Error(out, "the request was cut off", http.StatusBadRequest)
		return
	}
	line, err := w.Add(body)
	var refusal *Refusal
	switch {
	case errors.As(err, &refusal) && refusal.Status == http.StatusConflict:
		out.Header().Set("Content-Type", SizeType)
		out.WriteHeader(http.StatusConflict)
		_, _ = fmt.Fprintf(out, "%d\n", refusal.Size)
	case errors.As(err, &refusal):
		http.Error(out, refusal.Reason, refusal.Status)
	case err != nil:
		w.Logger.Error("a checkpoint could not be cosigned", "error", err)
		http.Error(out, "the witness cannot do this now", http.StatusInternalServerError)
	default:
		out.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(out, line)
	}
}

func (w *Witness) serveCheckpoint(out http.ResponseWriter, r *http.Request) {
	signed := w.Checkpoint(r.PathValue("hash"))
	if signed == nil {
		http.Error(out, "no checkpoint of such a log was cosigned here", http.StatusNotFound)
		return
	}
	out.Header().Set("Content-Type", "text/plain; charset=utf-8")
	out.Header().Set("Cache-Control", "no-cache")
	_, _ = out.Write(signed)
}
