package remote

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/config"
)

// devDataDir is where "keyward dev" keeps everything if it is not told otherwise.
const devDataDir = ".keyward"

// Operator answers a client of the operator's socket, which is at socket, or in
// dataDir, or in the data directory that is found.
func Operator(c *cli.Run, socket, dataDir string) (*client.OperatorClient, error) {
	if socket == "" {
		if dataDir == "" {
			dataDir = config.Default().DataDir
			if _, err := os.Stat(devDataDir); err == nil {
				dataDir = devDataDir
			}
		}
		socket = filepath.Join(dataDir, "operator.sock")
	}
	if _, err := os.Stat(socket); errors.Is(err, fs.ErrNotExist) {
		return nil, &cli.Problem{
			Message: fmt.Sprintf(c.T("there is no operator socket %s", "运维套接字 %s 不存在"), socket),
			Next:    c.T("start the server on this machine, or name its directory with --data-dir or its socket with --socket", "请在本机启动服务器，或用 --data-dir 指定其目录，或用 --socket 指定其套接字"),
		}
	}
	return client.Operator(socket).In(string(c.Lang)), nil
}
