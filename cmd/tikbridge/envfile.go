package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"
	"github.com/subosito/gotenv"
)

// addEnvFile gives every command the flag --env-file, for machines on which no shell, container or service manager
// reads such a file.
func addEnvFile(root *cobra.Command) {
	var file string
	root.PersistentFlags().StringVar(&file, "env-file", "",
		"read variables from this `file` (NAME=value, one a line); those that are set already win")
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		if file == "" {
			return nil
		}
		if err := setVariables(file); err != nil {
			return exitError{fmt.Errorf("--env-file: %w", err), exitUsage}
		}
		return nil
	}
}

// setVariables sets the variables of a file that are not set or empty. Errors do not quote the file: it holds
// secrets.
func setVariables(file string) error {
	content, err := os.ReadFile(file) //nolint:gosec // the operator names it
	if err != nil {
		var path *fs.PathError
		if errors.As(err, &path) {
			return fmt.Errorf("%s: %w", file, path.Err)
		}
		return err
	}
	variables, err := gotenv.StrictParse(bytes.NewReader(content))
	if err != nil {
		return fmt.Errorf("%s has a line that is not NAME=value", file)
	}
	for name, value := range variables {
		if os.Getenv(name) != "" {
			continue
		}
		if err := os.Setenv(name, value); err != nil {
			return fmt.Errorf("%s: %s cannot be set", file, name)
		}
	}
	return nil
}
