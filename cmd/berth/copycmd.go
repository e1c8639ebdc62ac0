package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"berth.dev/berth/tenant"
)

func newCopyCommand(connect connector) *cobra.Command {
	var instance string
	cmd := &cobra.Command{
		Use:   "cp [DSEQ] SOURCE TARGET",
		Short: "Copy files between this machine and an instance",
		Long: "Copy a file or a directory to an instance or from one. One of SOURCE and TARGET is SERVICE:PATH, the other a path of\n" +
			"this machine; one with a colon in it is written with ./ before it. TARGET is the new name; with a / at its end,\n" +
			"or where it is a directory of this machine, the copy is made in it.\n\n" +
			"The image must have tar. Files and directories are copied, with their permissions; links and devices are left out.\n" +
			"What is written to an instance lasts as long as it does, but in volumes.",
		Example: "  berth cp 123456 dump.sql db:/var/lib/import/\n  berth cp 123456 web:/app/report.csv .",
		Args:    cobra.RangeArgs(2, 3),
		RunE: withSession(connect, func(ctx context.Context, s *session, args []string) error {
			source, target := args[len(args)-2], args[len(args)-1]
			from, fromPath, isFrom := remotePath(source)
			to, toPath, isTo := remotePath(target)
			if isFrom == isTo {
				return usageErrorf("one of %q and %q must be SERVICE:PATH, and the other a path of this machine", source, target)
			}
			dseq, err := s.dseq(ctx, args[:len(args)-2])
			if err != nil {
				return err
			}
			p := tenant.Place{ID: s.id(dseq), Service: from + to, Instance: instance}
			var copied *tenant.Copied
			if isFrom {
				copied, err = s.Download(ctx, p, fromPath, target)
			} else {
				copied, err = s.Upload(ctx, source, p, toPath)
			}
			if err != nil {
				return err
			}
			for _, name := range copied.Skipped {
				fmt.Fprintf(s.err, "%s %s is neither a file nor a directory and was left out\n", s.style.amber("Warning:"), printable(name))
			}
			return s.print(copied, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "Copied %s, %s.\n", counted(copied.Files, "file"), bytesText(copied.Bytes))
				return err
			})
		}),
	}
	cmd.Flags().StringVar(&instance, "instance", "", "of this instance (default any that is ready)")
	return cmd
}

// remotePath reads SERVICE:PATH; ok is false for a path of this machine.
func remotePath(s string) (service, path string, ok bool) {
	service, path, ok = strings.Cut(s, ":")
	if !ok || service == "" || strings.ContainsAny(service, `/\.`) {
		return "", "", false
	}
	return service, path, true
}
