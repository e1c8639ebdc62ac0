package app

import manifesttypes "berth.dev/berth/manifest/types"

// The images of databases, by major version. An overlay's image for the role wins.
const (
	PostgresImage = "postgres:17"
	RedisImage    = "valkey/valkey:7.2"
)

// The ports of databases.
const (
	PostgresPort = 5432
	RedisPort    = 6379
)

// PostgresUser is the user of a PostgreSQL companion, and its database.
const PostgresUser = "app"

// dataVolume is a volume that stays for as long as the lease does.
func dataVolume(mount string, gib uint64) []Volume {
	return []Volume{{Name: "data", Mount: mount, Bytes: gib * gibi, Persistent: true}}
}

func insideAt(port uint32) []Expose {
	return []Expose{{Port: port, Proto: manifesttypes.PROTO_TCP, Inside: true}}
}

// Postgres is a PostgreSQL database of one instance, which only the application reaches. Its database, user and password are
// what the variables of these names have; empty ones of the first two are PostgresUser.
func Postgres(database, user, password string) Process {
	const mount = "/var/lib/postgresql/data"
	or := func(name, from string) Env {
		if from == "" {
			return Env{Name: name, Value: PostgresUser}
		}
		return Env{Name: name, From: from}
	}
	return Process{
		Image: PostgresImage, Size: Size{CPUMilli: 500, MemoryBytes: 512 * mebi, StorageBytes: gibi},
		// The root of a volume may hold lost+found, and a database is only made in an empty directory.
		Env: []Env{
			{Name: "PGDATA", Value: mount + "/pgdata"}, or("POSTGRES_DB", database), or("POSTGRES_USER", user),
			{Name: "POSTGRES_PASSWORD", From: password},
		},
		Port: PostgresPort, Exposes: insideAt(PostgresPort), Volumes: dataVolume(mount, 10),
		// Over TCP: while the database is made it is there at a socket only, and goes away once more.
		Probes: &manifesttypes.Probes{Readiness: &manifesttypes.Probe{
			Exec:          []string{"pg_isready", "-q", "-h", "127.0.0.1", "-U", PostgresUser, "-d", PostgresUser},
			PeriodSeconds: 5, TimeoutSeconds: 5, FailureThreshold: 3,
		}},
	}
}

// Redis is a server of the Redis protocol, which only the application reaches, and which needs no password therefore.
func Redis() Process {
	return Process{
		Image: RedisImage, Size: Size{CPUMilli: 250, MemoryBytes: 256 * mebi, StorageBytes: gibi},
		Args: []string{"--appendonly", "yes", "--protected-mode", "no", "--dir", "/data"},
		Port: RedisPort, Exposes: insideAt(RedisPort), Volumes: dataVolume("/data", 1),
	}
}
