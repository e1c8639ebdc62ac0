// Command postgresentry starts a PostgreSQL of a local image as official images start theirs: it begins as root, gives the
// directory of the data to the server's user, becomes that user, makes the database of $POSTGRES_DB with the user and the
// password of $POSTGRES_USER and $POSTGRES_PASSWORD if there is none yet, and then is the server.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// user is the number of the server's user in the image.
const user = 999

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "postgresentry:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	bin, err := programs()
	if err != nil {
		return err
	}
	data := setting("PGDATA", "/var/lib/postgresql/data")
	if os.Getuid() == 0 {
		if err := becomeUser(data); err != nil {
			return err
		}
	}
	if _, err := os.Stat(filepath.Join(data, "PG_VERSION")); os.IsNotExist(err) {
		if err := initialise(bin, data); err != nil {
			return err
		}
	}
	if len(args) > 0 && args[0] == "postgres" {
		args = args[1:]
	}
	server := filepath.Join(bin, "postgres") // it finds its own files by its name
	return syscall.Exec(server, append([]string{server, "-D", data, "-c", "listen_addresses=*"}, args...), os.Environ())
}

// programs is the directory of the server's programs, whatever its version is.
func programs() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("find one PostgreSQL below /usr/lib/postgresql: %v, %w", found, err)
	}
	return found[0], nil
}

func setting(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

// becomeUser gives the data and the directory of the socket to the server's user, and becomes it.
func becomeUser(data string) error {
	if err := os.MkdirAll(data, 0o700); err != nil {
		return err
	}
	for _, dir := range []string{data, "/run/postgresql"} {
		if err := os.Chown(dir, user, user); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	if err := syscall.Setgroups(nil); err != nil {
		return fmt.Errorf("leave the groups: %w", err)
	}
	if err := syscall.Setgid(user); err != nil {
		return fmt.Errorf("become group %d: %w", user, err)
	}
	if err := syscall.Setuid(user); err != nil {
		return fmt.Errorf("become user %d: %w", user, err)
	}
	return nil
}

// initialise makes an empty database whose one user has the password.
func initialise(bin, data string) error {
	name, password := setting("POSTGRES_USER", "postgres"), os.Getenv("POSTGRES_PASSWORD")
	if password == "" {
		return fmt.Errorf("POSTGRES_PASSWORD is not set")
	}
	file := filepath.Join(os.TempDir(), "password")
	if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		return err
	}
	defer func() { _ = os.Remove(file) }()
	err := call("", filepath.Join(bin, "initdb"), "-D", data, "-U", name, "--pwfile", file, "--auth-host=scram-sha-256", "--auth-local=trust",
		"--encoding=UTF8", "--locale=C", "--no-instructions")
	if err != nil {
		return err
	}
	rules, err := os.OpenFile(filepath.Join(data, "pg_hba.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = rules.WriteString("host all all all scram-sha-256\n")
	if cerr := rules.Close(); err == nil {
		err = cerr
	}
	db := setting("POSTGRES_DB", name)
	if err != nil || db == "postgres" {
		return err
	}
	return call(fmt.Sprintf("CREATE DATABASE \"%s\";\n", strings.ReplaceAll(db, `"`, `""`)), filepath.Join(bin, "postgres"), "--single", "-D", data, "postgres")
}

func call(input, program string, args ...string) error {
	cmd := exec.Command(program, args...) //nolint:noctx // it lives as long as this program
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", program, err)
	}
	return nil
}
