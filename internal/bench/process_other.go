//go:build !linux

package bench

import (
	"errors"
	"syscall"
	"time"
)

func dieWithParent() *syscall.SysProcAttr { return nil }

// usageOf has no equal elsewhere for a process that goes on running: the
// figures are left out.
func usageOf(int) (usage, error) { return usage{}, errors.ErrUnsupported }

func parentOf(int, string) (int, error) { return 0, errors.ErrUnsupported }

func familyCPU(int) (time.Duration, error) { return 0, errors.ErrUnsupported }

func machineBusy() (float64, error) { return 0, errors.ErrUnsupported }

func inMemory(string) bool { return false }
