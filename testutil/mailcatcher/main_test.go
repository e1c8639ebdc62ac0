package main

import (
	"encoding/json"
	"net"
	"net/http/httptest"
	"net/smtp"
	"strings"
	"testing"
)

// TestCatches: with the password, mail is taken and listed, the newest first; without it, it is not.
func TestCatches(t *testing.T) {
	in, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	b := &box{auth: "app:pass:word", most: 2}
	go b.receive(in) // ends with the listener
	send := func(password, subject string) error {
		text := "From: Shop <shop@example.com>\r\nTo: a@example.com\r\nSubject: " + subject + "\r\n\r\nA line.\r\n.dot\r\n"
		return smtp.SendMail(in.Addr().String(), smtp.PlainAuth("", "app", password, "127.0.0.1"), "shop@example.com", []string{"a@example.com", "b@example.com"}, []byte(text))
	}
	if err := send("wrong", "no"); err == nil || !strings.Contains(err.Error(), "535") {
		t.Errorf("with a wrong password: %v", err)
	}
	if err := smtp.SendMail(in.Addr().String(), nil, "x@example.com", []string{"a@example.com"}, []byte("\r\n")); err == nil || !strings.Contains(err.Error(), "530") {
		t.Errorf("without one: %v", err)
	}
	for _, subject := range []string{"one", "two", "three"} {
		if err := send("pass:word", subject); err != nil {
			t.Fatal(err)
		}
	}
	w := httptest.NewRecorder()
	b.ServeHTTP(w, nil)
	var got struct {
		Total    int `json:"total"`
		Messages []message
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got.Total != 2 || len(got.Messages) != 2 {
		t.Fatalf("%v: %s", err, w.Body)
	}
	m := got.Messages[0]
	if m.Subject != "three" || m.From.Name != "Shop" || m.To[0].Address != "a@example.com" || m.Bcc[0].Address != "b@example.com" || m.Snippet != "A line. .dot" || m.ID == got.Messages[1].ID {
		t.Errorf("%+v", m)
	}
}
