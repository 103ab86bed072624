package main

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strings"
)

// Places are absolute paths below the home of Stigmer; the same home, and the same rules, as the launcher's.
type Places struct {
	home, dist, run, tree string
}

func findPlaces(index Index) (Places, error) {
	home := os.Getenv("STIGMER_HOME")
	if home == "" || home == "~" || strings.HasPrefix(home, "~/") {
		own, err := userHome()
		if err != nil {
			return Places{}, err
		}
		if home == "" {
			home = filepath.Join(own, ".stigmer")
		} else {
			home = own + home[1:]
		}
	}
	home, err := filepath.Abs(home)
	if err != nil {
		return Places{}, &Failure{fmt.Sprintf("there is no current directory: %v", err), "set STIGMER_HOME to an absolute directory", 1}
	}
	dist := filepath.Join(home, "dist")
	return Places{home, dist, filepath.Join(home, "run"), filepath.Join(dist, index.ID)}, nil
}

func userHome() (string, error) {
	if home := os.Getenv("HOME"); filepath.IsAbs(home) {
		return filepath.Clean(home), nil
	}
	known, err := user.LookupId(fmt.Sprint(os.Getuid()))
	if err != nil {
		return "", &Failure{
			fmt.Sprintf("there is no HOME, and user %d is not in the password database", os.Getuid()),
			"set STIGMER_HOME to an absolute directory", 1,
		}
	}
	return known.HomeDir, nil
}
