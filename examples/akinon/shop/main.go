// Command shop is the application of examples/akinon: one image whose processes take orders, pack them, and prepare the
// database. What it needs comes by the variables of its addons: DB_* of a PostgreSQL database, BROKER_* of a Redis.
//
//	shop web       takes orders: POST /orders?item=NAME, GET /orders, GET /healthz; listens on $PORT
//	shop worker    packs orders that the broker has; /tmp/healthz is there while it works
//	shop migrate   makes the tables, and changes nothing where they are
//	test -e FILE   the one thing that a check of a file needs of an image, under that name
package main

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	_ "github.com/lib/pq" // the driver of the database
)

const (
	healthFile = "/tmp/healthz"
	queue      = "orders"
	// patience is how long a question to the database or the broker may take.
	patience = 5 * time.Second
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	err := run(ctx, filepath.Base(os.Args[0]), os.Args[1:])
	stop()
	if err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, name string, args []string) error {
	if name == "test" {
		if len(args) != 2 || args[0] != "-e" {
			return errors.New("this test knows -e FILE only")
		}
		_, err := os.Stat(args[1])
		return err
	}
	if len(args) != 1 {
		return errors.New("one argument is wanted: web, worker or migrate")
	}
	db, err := open()
	if err != nil {
		return err
	}
	defer db.Close()
	switch args[0] {
	case "web":
		return web(ctx, db)
	case "worker":
		return worker(ctx, db)
	case "migrate":
		return migrate(ctx, db)
	}
	return fmt.Errorf("%q is none of web, worker, migrate", args[0])
}

// open connects to the database when it is first asked.
func open() (*sql.DB, error) {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(os.Getenv("DB_USER"), os.Getenv("DB_PASSWORD")),
		Host: net.JoinHostPort(os.Getenv("DB_HOST"), os.Getenv("DB_PORT")), Path: os.Getenv("DB_NAME"), RawQuery: "sslmode=disable&connect_timeout=5",
	}
	return sql.Open("postgres", u.String())
}

// migrate makes the tables. It can run any number of times.
func migrate(ctx context.Context, db *sql.DB) error {
	_, err := db.ExecContext(ctx, `create table if not exists orders (id bigserial primary key, item text not null, packed boolean not null default false)`)
	if err != nil {
		return fmt.Errorf("make the tables: %w", err)
	}
	log.Print("the tables are there")
	return nil
}

func web(ctx context.Context, db *sql.DB) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		if err := healthy(r.Context(), db); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("POST /orders", answer(func(r *http.Request) (string, error) { return order(r.Context(), db, r.FormValue("item")) }))
	mux.HandleFunc("GET /orders", answer(func(r *http.Request) (string, error) { return orders(r.Context(), db) }))
	server := http.Server{Addr: ":" + os.Getenv("PORT"), Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		_ = server.Close() // the process ends with it
	}()
	log.Printf("takes orders on %s", server.Addr)
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// answer is a handler that tells a failure with status 500.
func answer(do func(r *http.Request) (string, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		text, err := do(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprint(w, text)
	}
}

// healthy tells whether requests can be served: all that they need answers.
func healthy(ctx context.Context, db *sql.DB) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := db.PingContext(ctx); err != nil {
		return fmt.Errorf("the database: %w", err)
	}
	if _, err := ask(ctx, patience, "PING"); err != nil {
		return fmt.Errorf("the broker: %w", err)
	}
	return nil
}

func order(ctx context.Context, db *sql.DB, item string) (string, error) {
	var id int64
	if err := db.QueryRowContext(ctx, `insert into orders (item) values ($1) returning id`, item).Scan(&id); err != nil {
		return "", err
	}
	if _, err := ask(ctx, patience, "LPUSH", queue, strconv.FormatInt(id, 10)); err != nil {
		return "", err
	}
	return fmt.Sprintf("order %d\n", id), nil
}

func orders(ctx context.Context, db *sql.DB) (string, error) {
	rows, err := db.QueryContext(ctx, `select id, item, packed from orders order by id`)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	var b strings.Builder
	for rows.Next() {
		var id int64
		var item string
		var packed bool
		if err := rows.Scan(&id, &item, &packed); err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%d %s packed=%t\n", id, item, packed)
	}
	return b.String(), rows.Err()
}

// worker packs orders one after the other. What goes wrong takes the file away until it is right again.
func worker(ctx context.Context, db *sql.DB) error {
	defer os.Remove(healthFile)
	for ctx.Err() == nil {
		if err := pack(ctx, db); err != nil && ctx.Err() == nil {
			log.Print(err)
			_ = os.Remove(healthFile) // it may be gone already
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
			continue
		}
		if err := os.WriteFile(healthFile, nil, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// pack waits up to two seconds for an order, and packs it.
func pack(ctx context.Context, db *sql.DB) error {
	reply, err := ask(ctx, patience+2*time.Second, "BRPOP", queue, "2")
	if err != nil || len(reply) < 2 {
		return err
	}
	id, err := strconv.ParseInt(reply[1], 10, 64)
	if err != nil {
		return fmt.Errorf("read an order: %w", err)
	}
	if _, err := db.ExecContext(ctx, `update orders set packed = true where id = $1`, id); err != nil {
		return fmt.Errorf("pack order %d: %w", id, err)
	}
	log.Printf("packed order %d", id)
	return nil
}

// ask sends a command to the broker, in its database, and returns the answer's texts.
func ask(ctx context.Context, within time.Duration, words ...string) ([]string, error) {
	conn, err := (&net.Dialer{Timeout: within}).DialContext(ctx, "tcp", net.JoinHostPort(os.Getenv("BROKER_HOST"), os.Getenv("BROKER_PORT")))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(within)); err != nil {
		return nil, err
	}
	in := bufio.NewReader(conn)
	for _, c := range [][]string{{"SELECT", os.Getenv("BROKER_DATABASE_INDEX")}, words} {
		fmt.Fprintf(conn, "*%d\r\n", len(c)) // a failure shows in the answer
		for _, w := range c {
			fmt.Fprintf(conn, "$%d\r\n%s\r\n", len(w), w)
		}
	}
	if _, err := reply(in); err != nil {
		return nil, err
	}
	return reply(in)
}

// reply reads one answer: a line, a number, a text, or a list of those. What there is not is no text.
func reply(in *bufio.Reader) ([]string, error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("read the broker's answer: %w", err)
	}
	line = strings.TrimRight(line, "\r\n")
	if line == "" {
		return nil, errors.New("the broker's answer is empty")
	}
	switch kind, rest := line[0], line[1:]; kind {
	case '+', ':':
		return []string{rest}, nil
	case '-':
		return nil, fmt.Errorf("the broker says: %s", rest)
	case '$':
		return bulk(in, rest)
	case '*':
		n, err := strconv.Atoi(rest)
		if err != nil || n > 1000 {
			return nil, errors.New("the broker's answer is no list")
		}
		var out []string
		for range n {
			one, err := reply(in)
			if err != nil {
				return nil, err
			}
			out = append(out, one...)
		}
		return out, nil
	}
	return nil, errors.New("the broker's answer is of no known kind")
}

func bulk(in *bufio.Reader, length string) ([]string, error) {
	n, err := strconv.Atoi(length)
	if err != nil || n > 1<<20 {
		return nil, errors.New("the broker's answer is no text")
	}
	if n < 0 {
		return nil, nil
	}
	var b strings.Builder
	for range n + 2 {
		c, err := in.ReadByte()
		if err != nil {
			return nil, fmt.Errorf("read the broker's answer: %w", err)
		}
		b.WriteByte(c)
	}
	return []string{b.String()[:n]}, nil
}
