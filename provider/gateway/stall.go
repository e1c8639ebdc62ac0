package gateway

import (
	"net/http"
	"sync"
	"time"
)

// stallWriter cuts an answer off when a single write takes longer than a limit, that is when the client has taken
// nothing for so long that all buffers are full. A stream that has nothing to say is not cut off, so a write deadline
// on the connection would not do.
type stallWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	limit   time.Duration

	mu     sync.Mutex // orders the timer with the end of writes and of the request
	timer  *time.Timer
	busy   bool
	closed bool
	// began is true once a part of the answer was written; only the serving goroutine uses it.
	began bool
}

func newStallWriter(w http.ResponseWriter, limit time.Duration) *stallWriter {
	return &stallWriter{ResponseWriter: w, control: http.NewResponseController(w), limit: limit}
}

// Unwrap lets http.ResponseController reach the writer below.
func (w *stallWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (w *stallWriter) WriteHeader(code int) {
	w.began = true
	w.ResponseWriter.WriteHeader(code)
}

// Write implements http.ResponseWriter.
func (w *stallWriter) Write(b []byte) (int, error) {
	w.began = true
	w.enter()
	defer w.leave()
	return w.ResponseWriter.Write(b)
}

// Flush implements http.Flusher, which gRPC asks for.
func (w *stallWriter) Flush() {
	w.began = true
	w.enter()
	defer w.leave()
	_ = w.control.Flush() // a broken connection shows in the next write and in the request's context
}

func (w *stallWriter) enter() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.busy = true
	if w.timer == nil {
		w.timer = time.AfterFunc(w.limit, w.expire)
		return
	}
	w.timer.Reset(w.limit)
}

func (w *stallWriter) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.busy = false
	w.timer.Stop()
}

// expire runs on the timer's goroutine. A deadline in the past ends the write that waits, and in HTTP/2 its stream.
func (w *stallWriter) expire() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.busy && !w.closed {
		_ = w.control.SetWriteDeadline(time.Unix(1, 0)) // fails only if the connection is gone
	}
}

// close ends the guard; the writer below must not be used after the request.
func (w *stallWriter) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	if w.timer != nil {
		w.timer.Stop()
	}
}
