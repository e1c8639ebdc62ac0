package akinon

import "berth.dev/berth/sdl/app"

// Fields are all fields that the format has, in the order of its description. What is not in it is reported as unknown:
// the front-end reads its keys from here.
var Fields = app.Rows([][4]string{
	{"name", "changed", "the group's name, and the beginning of host names", "a DNS label of at most 40 characters"},
	{"description", "kept", "the description that `berth plan` shows", ""},
	{"scripts.build", "changed", "one layer on top of `runtime` and the files of the tree", "the file is executed if it is executable and begins with `#!`, as a script for bash is no script for sh; else sh runs it"},
	{"scripts.release", "kept", "a hook before each rollout, with the image and the variables of `web`", "a failure stops the rollout, and the old version goes on"},
	{"runtime", "kept", "the base image of the build", "not read with `--image`"},
	{"formation.*", "kept", "a service with the process's command and `PORT=8008`; of `web` port 8008 is open to anyone, at port 80", ""},
	{"formation.*.min", "kept", "the number of instances, or the least", "0 runs none"},
	{"formation.*.max", "changed", "instances follow the load, at 80 % of cpu", "the order reserves the maximum, as a lease has a fixed price; `auto` stands for the greater of 3 and 2 × min, or `scale.autoMax`"},
	{"formation.*.healthcheck", "changed", "`web`: a path that has to answer 200; others: a file that has to exist", "a rollout wants exactly 200, the probe after it 200 to 399; a process whose file is missing is not ready, and is not started again"},
	{"addons[].plan", "changed", "a companion service in the same deployment", "or variables that you give: `sentry` always, others if all of them are given"},
	{"addons[].as", "kept", "the companion's name, and the beginning of its variables", "also for `elasticsearch` and `sentry`; refused for plans whose variables have fixed names"},
	{"addons[].options.instance_type", "changed", "the companion's size", "of types that are known; others are refused with what to write instead"},
	{"addons[].options.instance_count", "refused", "", "more than 1: companions have one instance"},
	{"addons[].options.version", "kept", "the tag of the image of `elasticsearch`", "without effect for other plans"},
	{"addons[].scope", "ignored", "", "a companion belongs to its deployment"},
	{"env.*", "kept", "a secret variable of every process", "stored on the tenant's machine, encrypted"},
	{"env.*.type", "ignored", "", "every value is text"},
	{"env.*.required", "kept", "nothing is sent without a value", ""},
	{"env.*.minlength", "kept", "checked before anything is sent, in characters", ""},
	{"env.*.maxlength", "kept", "checked before anything is sent, in characters", ""},
	{"env.*.description", "kept", "the text of the question", ""},
})
