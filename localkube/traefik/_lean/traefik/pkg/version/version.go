// Package version names the build. It never asks anyone about newer releases.
package version

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/gorilla/mux"
)

var (
	// Version of the proxy, set by the linker.
	Version = "dev"
	// Codename of the release.
	Codename = ""
	// BuildDate of the binary.
	BuildDate = ""
	// StartDate of the process.
	StartDate = time.Now()
	// DisableDashboardAd is read by the dashboard.
	DisableDashboardAd = true
)

// Handler serves the version as JSON.
type Handler struct{}

// Append adds the route /api/version.
func (Handler) Append(router *mux.Router) {
	router.Methods(http.MethodGet).Path("/api/version").HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"Version": Version, "startDate": StartDate})
	})
}

// CheckNewVersion does nothing.
func CheckNewVersion() {}
