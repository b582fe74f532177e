package postgrestest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
)

// place is where this process's servers live. It is set by findPlace.
var place struct {
	bin   string              // PostgreSQL's programs
	dir   string              // a directory for each server
	quick string              // one for each server that need not be durable; may be dir
	user  *syscall.Credential // who runs them; nil for who we are

	mu      sync.Mutex
	servers int
	guard   *os.File // kept open until this process ends
}

// guardian outlives the process that started it, however that ended: it waits
// for the end of its input, which nobody else can write to, and then ends the
// servers that are left and removes everything.
const guardian = `
read -r _
for file in "$1"/*/data/postmaster.pid "$2"/*/data/postmaster.pid; do
	[ -f "$file" ] && read -r pid <"$file" && kill -QUIT "$pid" && kill -CONT "$pid" || continue
	tries=0
	while kill -0 "$pid" && [ $((tries += 1)) -lt 200 ]; do sleep 0.05; done
done
rm -rf "$1" "$2"`

var findPlace = sync.OnceValue(func() error {
	var err error
	if place.bin, err = programs("/usr/lib/postgresql"); err != nil {
		return err
	}
	if place.dir, err = os.MkdirTemp("", "postgrestest-"); err != nil {
		return err
	}
	place.quick = place.dir
	if hasRoom(memory) {
		if place.quick, err = os.MkdirTemp(memory, "postgrestest-"); err != nil {
			return err
		}
	}
	input, guard, err := os.Pipe()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(context.Background(), "sh", "-c", guardian, "guardian", place.dir, place.quick)
	cmd.Stdin = input
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	place.guard = guard
	if err := input.Close(); err != nil || os.Getuid() != 0 {
		return err
	}
	// PostgreSQL refuses to run as root.
	if place.user, err = anotherUser(); err != nil {
		return err
	}
	return errors.Join(give(place.dir), give(place.quick))
})

// memory is where Linux keeps files in memory. A database takes four hundred
// files, which a disk is slow to make, synced or not.
const memory = "/dev/shm"

// room is what there has to be of memory: a container may have 64 MiB of it, and
// the tests of several packages run at once, with a server each.
const room = 4 << 30

// hasRoom reports whether servers can be there, and may: who sets TMPDIR has said
// where they are to be.
func hasRoom(dir string) bool {
	var fs syscall.Statfs_t
	return os.Getenv("TMPDIR") == "" && syscall.Statfs(dir, &fs) == nil && fs.Bavail*uint64(fs.Bsize) >= room
}

// give makes a directory that of who runs the servers.
func give(dir string) error {
	if place.user == nil {
		return nil
	}
	return os.Chown(dir, int(place.user.Uid), int(place.user.Gid))
}

// programs finds the newest PostgreSQL that is installed as Debian does it.
func programs(dir string) (string, error) {
	found, err := filepath.Glob(filepath.Join(dir, "*", "bin", "postgres"))
	if err != nil {
		return "", err
	}
	if len(found) == 0 {
		return "", errors.New("there is no PostgreSQL in " + dir + "; run: apt-get install postgresql")
	}
	version := func(file string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(file))))
		return n
	}
	newest := slices.MaxFunc(found, func(a, b string) int { return cmp.Compare(version(a), version(b)) })
	return filepath.Dir(newest), nil
}

func anotherUser() (*syscall.Credential, error) {
	who, err := user.Lookup("postgres")
	if err != nil {
		who, err = user.Lookup("nobody")
	}
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(who.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(who.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}

// addServer makes a directory for one more server, and its name.
func addServer(o Options) (name, dir string, err error) {
	place.mu.Lock()
	defer place.mu.Unlock()
	place.servers++
	name = fmt.Sprintf("server%d", place.servers)
	dir = filepath.Join(place.quick, name)
	if o.Fsync {
		dir = filepath.Join(place.dir, name)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return name, dir, err
	}
	return name, dir, give(dir)
}
