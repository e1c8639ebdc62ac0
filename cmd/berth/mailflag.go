package main

import (
	"cmp"
	"errors"
	"net/url"
	"strings"
)

// mailRole is the role of the mail addon.
const mailRole = "mail"

// mailInto gives an application the variables of --mail. A flag that refuses its value would show it.
func (a *appFlags) mailInto() error {
	if a.mail == "" {
		return nil
	}
	vars, err := mailVariables(a.mail)
	if err != nil {
		return usageErrorf("--mail: %w", err)
	}
	for name, value := range vars {
		put(&a.overlay.Env, name, value)
	}
	return nil
}

// mailVariables are the variables of the mail addon for a server of one's own. Errors do not show the URL, which has a
// password in it.
func mailVariables(text string) (map[string]string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "smtp" || u.Hostname() == "" || u.User == nil || strings.Trim(u.Path, "/") != "" {
		return nil, errors.New("it is not smtp://USER:PASSWORD@HOST:PORT, with ?tls=true behind it for TLS")
	}
	tls := u.Query().Get("tls")
	if tls != "" && tls != "true" && tls != "false" {
		return nil, errors.New("tls is neither true nor false")
	}
	password, _ := u.User.Password()
	return map[string]string{
		"EMAIL_HOST": u.Hostname(), "EMAIL_PORT": cmp.Or(u.Port(), "587"), "EMAIL_HOST_USER": u.User.Username(),
		"EMAIL_HOST_PASSWORD": password, "EMAIL_USE_TLS": cmp.Or(tls, "false"),
	}, nil
}
