package sdl

// Severity tells errors from warnings.
type Severity string

// The severities.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// Diagnostic is one problem of a document.
type Diagnostic struct {
	Severity Severity `json:"severity"`
	// Code is stable, for example E-UNKNOWN-KEY.
	Code string `json:"code"`
	File string `json:"file"`
	// Line and Column count from 1; 0 means unknown.
	Line   int `json:"line"`
	Column int `json:"column"`
	// Path is the place in the document, for example services.web.expose[0].to[1].
	Path    string `json:"path"`
	Message string `json:"message"`
	// Found is what stands there, Allowed what may, Suggestion a near and allowed spelling; each may be empty.
	Found      string `json:"found,omitempty"`
	Allowed    string `json:"allowed,omitempty"`
	Suggestion string `json:"suggestion,omitempty"`
}

// Diagnostics are the problems of a document in the order of their places.
type Diagnostics []Diagnostic
