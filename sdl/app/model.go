// Package app is the model that manifests of applications have in common, whatever their format: processes, tasks that
// run at times, hooks, companion services and variables. Front-ends fill an App; Compile puts what their formats lack
// beside it (images, sizes, prices, placement: an Overlay) and makes the plan of it.
package app

import (
	"fmt"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/doc"
)

// Place is where something stands, for diagnostics. The zero Place is the document as a whole.
type Place struct {
	File string
	// Line and Column count from 1; 0 means unknown.
	Line, Column int
	// Path is the place in the document, such as formation.web.quantity.
	Path string
}

// PlaceOf is the place of a node; of nil it is the document as a whole.
func PlaceOf(n *doc.Node) Place {
	if n == nil {
		return Place{}
	}
	return Place{n.File().Name, n.Line(), n.Column(), n.Path()}
}

// Problem starts a diagnostic at the place.
func (p Place) Problem(code, format string, args ...any) sdl.Diagnostic {
	return sdl.Diagnostic{Code: code, File: p.File, Line: p.Line, Column: p.Column, Path: p.Path, Message: fmt.Sprintf(format, args...)}
}

// App is what a manifest says. Front-ends report what is wrong and leave it out; Compile sorts what has an order of its
// own by name.
type App struct {
	// Format is the name of the format, such as app.json.
	Format string
	// Name is a DNS label (see Slug), or empty; it names the group and begins host names. Title is the name as it is written.
	Name, Title string
	Description string
	// Website and the like are not read; Success is the URL, or the path on the site, to show after a deployment.
	Success string

	Processes  []Process
	Tasks      []Task
	Hooks      []Hook
	Companions []Companion
	// Variables go to every process, task and hook, and to the companions that refer to them.
	Variables []Variable
	// Notices are URLs that the tenant's tool tells of a rollout that failed.
	Notices []Notice
	// Build says how an image is made from the source tree; nil if the manifest says nothing of it.
	Build *Build
}

// Process is a program whose instances run always.
type Process struct {
	// Name is what the manifest calls it, Service what it is called in the plan: a DNS label (see Slug). Service is Name's
	// slug if empty.
	Name, Service string
	At            Place
	// Image is what the manifest says; the overlay's wins. Empty for the application's.
	Image string
	// Command replaces the image's entry point, Args its arguments; both may be empty.
	Command, Args []string
	// Env are variables of this process alone, such as PORT. They win over the application's.
	Env []Env
	// Port is where it takes connections by contract; 0 for nowhere.
	Port    uint32
	Exposes []Expose
	// Probes and the other care go into the manifest as they are.
	Probes          *manifesttypes.Probes
	MinReadySeconds uint32
	// Count is how many instances run; 0 for none. With Scale it is ignored.
	Count   uint32
	Scale   *Scale
	Rollout *manifesttypes.Rollout
	// DependsOn are services of the plan that are ready first; all companions are, without being named here.
	DependsOn []string
	Volumes   []Volume
	// Size is what an instance takes; zero parts are DefaultSize's.
	Size Size
}

// Env is a variable of one process.
type Env struct {
	Name string
	// Value is its value, or From the name of one of the application's variables whose value it takes.
	Value, From string
	// Secret keeps the value out of everything that is printed.
	Secret bool
}

// Expose is a port that others may connect to.
type Expose struct {
	// Port is the container's, As the one that clients use; Port if 0.
	Port, As uint32
	Proto    manifesttypes.Proto
	// Public opens it to anyone outside, Inside to all processes and tasks of the application.
	Public, Inside bool
	// Hosts are host names of a public http port; the overlay's domains come to those of the process web.
	Hosts []string
}

// Scale lets the number of instances follow their load. The order reserves the maximum.
type Scale struct {
	At       Place
	Min, Max uint32
	// Auto says that the format leaves the maximum open; Max is then what the format proposes, and the overlay's wins.
	Auto bool
	// Triggers are of cpu and memory only, in any order.
	Triggers []manifesttypes.Trigger
	// CooldownSeconds of 0 stands for the manifest's default.
	CooldownSeconds uint32
}

// Volume is storage of an instance beside its own file system.
type Volume struct {
	Name, Mount string
	Bytes       uint64
	// Class is the provider's class of storage; empty for default, if Persistent.
	Class      string
	Persistent bool
	ReadOnly   bool
}

// Size is what one instance takes. A zero is not given.
type Size struct {
	CPUMilli     uint64
	MemoryBytes  uint64
	StorageBytes uint64 // of its own file system
}

// Task is a program that runs at times, with the image of the process web unless it names one.
type Task struct {
	Name, Service string // see Process; TaskName makes a name
	At            Place
	Image         string
	Command, Args []string
	Cron          manifesttypes.Cron
	Size          Size
}

// Hook is a program that runs once for each deployment, in a process's image and with its variables.
type Hook struct {
	Name string // a DNS label
	At   Place
	// Process is the name of the process; empty for web, or the first of those that run if there is no web.
	Process         string
	When            manifesttypes.When
	Once            bool
	Command, Args   []string
	DeadlineSeconds uint32 // 0 for the manifest's default
}

// Companion is a service beside the application that its manifest asks for by what it does, such as a database. Its
// Service is the role, under which the application finds it. It stands at the front of every process's dependencies.
type Companion struct {
	Process
	// Plan is what the manifest calls it, for example postgresql.
	Plan string
}

// Variable is an environment variable of the application, or one that only its companions take.
type Variable struct {
	Name string
	At   Place
	// Description is for the prompt.
	Description string
	// Value is set where nothing else gives one; nil if there is none.
	Value *string
	// Sync puts Value, or a new generated value, in place of what is stored, whenever there is a deployment.
	Sync bool
	// Required means that no deployment goes ahead without a value.
	Required bool
	// Generate makes the value where none is stored; nil if it is not generated.
	Generate *Generate
	// MinLength and MaxLength bound the value, in characters; 0 for no bound.
	MinLength, MaxLength int
	// Secret keeps the value out of everything that is printed. Generated values, and those that come from outside of the
	// manifest, are secret without it. What is typed is hidden by the name, and for addons.
	Secret bool
	// Internal keeps it from the application: only what refers to it by Env.From or Made has it.
	Internal bool
	// Made says how the value follows from that of another variable; nil if it does not. It is never stored.
	Made *Made
	// Addon is the role of the addon whose variable it is; empty for the application's own.
	Addon string
}

// Made is a value with that of another variable in its middle.
type Made struct{ Before, From, After string }

// Generate says how to make a value: Length characters of Alphabet, of cryptographic quality.
type Generate struct {
	Length   int
	Alphabet string
}

// The alphabets of generated values.
const (
	AlphabetHex  = "0123456789abcdef"
	AlphabetText = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// Notice is a URL that the tenant's tool posts to when a rollout fails.
type Notice struct {
	At      Place
	Process string
	Check   string // the name of the check
	URL     string
}

// Build says how an image is made from the source tree.
type Build struct {
	At Place
	// Runtime is the base image, Script the path of a program that is run in it as one layer, Predeploy a command that is
	// run as the last layer; each may be empty.
	Runtime, Script, Predeploy string
	// Buildpacks are identifiers of buildpacks, in their order, such as heroku/python.
	Buildpacks []string
}

// Entry is a line of a Procfile: a process and its command, as written.
type Entry struct {
	Name, Command string
	At            Place
}
