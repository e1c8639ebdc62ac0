package main

import (
	"errors"
	"net"
	"net/smtp"
	"os"
)

func init() { subcommands["mail"] = sendMail }

// plainly authenticates without TLS: nothing of it leaves the deployment.
type plainly struct{ user, password string }

// Start is of smtp.Auth.
func (a plainly) Start(*smtp.ServerInfo) (proto string, toServer []byte, err error) {
	return "PLAIN", []byte("\x00" + a.user + "\x00" + a.password), nil
}

// Next is of smtp.Auth.
func (a plainly) Next(_ []byte, more bool) ([]byte, error) {
	if more {
		return nil, errors.New("the server asks for more than a password")
	}
	return nil, nil
}

// sendMail sends a mail with the subject that it is given, by the server of the variables EMAIL_*.
func sendMail(args []string) error {
	if len(args) != 1 {
		return errors.New("want a subject")
	}
	at := net.JoinHostPort(os.Getenv("EMAIL_HOST"), os.Getenv("EMAIL_PORT"))
	text := "From: app@example.com\r\nTo: people@example.com\r\nSubject: " + args[0] + "\r\n\r\nHello.\r\n"
	return smtp.SendMail(at, plainly{os.Getenv("EMAIL_HOST_USER"), os.Getenv("EMAIL_HOST_PASSWORD")}, "app@example.com", []string{"people@example.com"}, []byte(text))
}
