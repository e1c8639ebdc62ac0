package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"berth.dev/berth/tenant"
)

// interactive reports whether a person can be asked.
func (s *session) interactive() bool {
	return isTerminal(s.cmd.InOrStdin()) && isTerminal(s.err)
}

// confirm asks a yes-or-no question. Without a terminal it is an error that names the flag that answers it.
func (s *session) confirm(ctx context.Context, yes bool, question string) error {
	if yes {
		return nil
	}
	if !s.interactive() {
		return usageErrorf("not on a terminal, so there is nobody to confirm: give -y")
	}
	answer, err := s.ask(ctx, question+" [y/N] ")
	if err != nil {
		return err
	}
	if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
		return exitWith(exitUsage, errors.New("not confirmed; nothing was sent"))
	}
	return nil
}

// ask reads one line. It ends with ctx, although the read itself goes on until the program exits.
func (s *session) ask(ctx context.Context, question string) (string, error) {
	fmt.Fprint(s.err, question)
	type line struct {
		text string
		err  error
	}
	read := make(chan line, 1)
	go func() {
		text, err := s.in.ReadString('\n')
		read <- line{text, err}
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(s.err)
		return "", ctx.Err()
	case l := <-read:
		if errors.Is(l.err, io.EOF) && l.text == "" {
			return "", usageErrorf("the input ended before an answer")
		}
		if l.err != nil && !errors.Is(l.err, io.EOF) {
			return "", fmt.Errorf("read the answer: %w", l.err)
		}
		return l.text, nil
	}
}

// chooseByHand lets a person pick a bid.
func (s *session) chooseByHand(ctx context.Context, g tenant.GroupOffers) (int, error) {
	fmt.Fprintf(s.err, "Bids for %s:\n%s", printable(g.Name), offersTable(g.Offers).render("  "))
	for {
		answer, err := s.ask(ctx, fmt.Sprintf("Which one? [1-%d, enter for 1] ", len(g.Offers)))
		if err != nil {
			return 0, err
		}
		answer = strings.TrimSpace(answer)
		if answer == "" {
			return 0, nil
		}
		if n, err := strconv.Atoi(answer); err == nil && n >= 1 && n <= len(g.Offers) {
			return n - 1, nil
		}
		fmt.Fprintf(s.err, "%q is not a number from 1 to %d.\n", printable(answer), len(g.Offers))
	}
}
