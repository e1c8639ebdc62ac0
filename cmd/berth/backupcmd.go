package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"berth.dev/berth/internal/durable"
	"berth.dev/berth/tenant/backup"
)

// maxBackup bounds what is read of a backup file.
const maxBackup = 1 << 30

func newBackupCommand() *cobra.Command {
	var passFile string
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Put this machine's state of all deployments into an encrypted file",
		Long: "Write the configuration and, of each deployment on this machine, its plan, manifests with their salts, and environment\n" +
			"into one file, encrypted with a passphrase (age's format). Keys are not in it: keep their mnemonics. The passphrase is\n" +
			"asked for on a terminal, or read from --passphrase-file or $BERTH_PASSPHRASE.",
		Example: "  berth backup berth-2026-11-21.age\n  berth restore berth-2026-11-21.age",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := homeDir(cmd)
			if err != nil {
				return err
			}
			files, err := backup.Collect(dir)
			if err != nil {
				return err
			}
			if len(files) == 0 {
				return exitWith(exitUsage, fmt.Errorf("there is nothing to back up in %s", dir))
			}
			pass, err := passphrase(cmd, passFile, true)
			if err != nil {
				return err
			}
			var sealed bytes.Buffer
			if err := backup.Write(&sealed, files, pass); err != nil {
				return exitWith(exitInput, err)
			}
			if _, err := os.Lstat(args[0]); err == nil {
				return exitWith(exitUsage, fmt.Errorf("%s exists already; name another file", args[0]))
			}
			if err := durable.WriteFile(args[0], sealed.Bytes(), 0o600); err != nil {
				return err
			}
			out := map[string]any{"file": args[0], "bytes": sealed.Len(), "files": len(files)}
			return printResult(cmd, out, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "Wrote %s: %s, %d bytes. Keys are not in it.\n", args[0], counted(len(files), "file"), sealed.Len())
				return err
			})
		},
	}
	passphraseFlag(cmd, &passFile)
	return cmd
}

func newRestoreCommand() *cobra.Command {
	var passFile string
	var replace bool
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Put a backup's state back on this machine",
		Long: "Read a file that berth backup has written, check all of it, and put what is missing into the home. A file that is there\n" +
			"and differs stays as it is, as it may be newer; --replace takes the backup's. Leases that have ended since are seen\n" +
			"when the deployment is next used.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := homeDir(cmd)
			if err != nil {
				return err
			}
			data, err := readBackup(args[0])
			if err != nil {
				return exitWith(exitUsage, err)
			}
			pass, err := passphrase(cmd, passFile, false)
			if err != nil {
				return err
			}
			files, err := backup.Read(bytes.NewReader(data), pass)
			if err != nil {
				return exitWith(exitInput, err)
			}
			results, err := backup.Restore(dir, files, replace)
			if err != nil {
				return err
			}
			return printResult(cmd, results, func(w io.Writer) error { return writeRestored(w, self(cmd), args[0], results) })
		},
	}
	cmd.Flags().BoolVar(&replace, "replace", false, "replace files that are there by the backup's")
	passphraseFlag(cmd, &passFile)
	return cmd
}

func readBackup(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("open the backup: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxBackup {
		return nil, fmt.Errorf("%s is not a backup: it is no regular file, or larger than %d bytes", name, maxBackup)
	}
	return os.ReadFile(name)
}

func writeRestored(w io.Writer, self, file string, results []backup.Result) error {
	kept := 0
	for _, r := range results {
		if r.Outcome == backup.Kept {
			kept++
		}
		if _, err := fmt.Fprintf(w, "%-8s  %s\n", r.Outcome, r.Name); err != nil {
			return err
		}
	}
	if kept == 0 {
		return nil
	}
	_, err := fmt.Fprintf(w, "\n%s differ from the backup and were kept. To take the backup's:\n  %s restore --replace %s\n", counted(kept, "file"), self, quoted(file))
	return err
}

func passphraseFlag(cmd *cobra.Command, to *string) {
	cmd.Flags().StringVar(to, "passphrase-file", "", "file with the passphrase (also $BERTH_PASSPHRASE itself)")
}

// passphrase reads the passphrase from a file, the environment or a terminal, there twice if it is a new one.
func passphrase(cmd *cobra.Command, file string, isNew bool) (string, error) {
	if file != "" {
		data, err := os.ReadFile(file)
		if err != nil {
			return "", exitWith(exitUsage, fmt.Errorf("read the passphrase: %w", err))
		}
		return strings.TrimRight(string(data), "\r\n"), nil
	}
	if p := os.Getenv("BERTH_PASSPHRASE"); p != "" {
		return p, nil
	}
	in, ok := cmd.InOrStdin().(*os.File)
	if !ok || !isTerminal(in) {
		return "", exitWith(exitInput, errors.New("not on a terminal, so there is nobody to ask for the passphrase: give --passphrase-file"))
	}
	ask := func(what string) (string, error) {
		fmt.Fprint(cmd.ErrOrStderr(), what)
		data, err := term.ReadPassword(int(in.Fd()))
		fmt.Fprintln(cmd.ErrOrStderr())
		if err != nil {
			return "", fmt.Errorf("read the passphrase: %w", err)
		}
		return string(data), nil
	}
	first, err := ask("Passphrase (not shown): ")
	if err != nil || !isNew {
		return first, err
	}
	again, err := ask("Again: ")
	if err == nil && again != first {
		err = exitWith(exitInput, errors.New("the two passphrases differ"))
	}
	return first, err
}
