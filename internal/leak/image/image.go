// Package image looks for credentials in container images: in every layer, in files that a
// later layer deletes or replaces, and in what the configuration says: variables, labels,
// the command and the history of the build.
//
// An image is a file as `docker save`, `podman save` or `skopeo copy` write it, compressed or
// not, or the directory of an OCI layout. Formats: the OCI Image Format Specification 1.1
// (layout, index, manifest, configuration, whiteouts) and Docker's Image Specification 1.2
// (manifest.json). No registry is asked and nothing is unpacked onto the disk, but a
// compressed archive, which goes through a file without a name.
//
// Layers are read from the last to the first, so that of each file it is known whether the
// image still shows it; one that several images of a file share is read once. What is damaged
// or missing is a problem of the search, and the rest is looked at.
package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/leak/search"
	"github.com/keyward/keyward/internal/leak/unpack"
)

// Limits of one file or directory of images.
const (
	maxDocument = 8 << 20 // bytes of an index, a manifest or a configuration
	maxNesting  = 4       // indexes within each other
	maxImages   = 1000
)

// limits bound what the layers may become, all together.
var limits = unpack.Limits{Depth: 1, Bytes: 256 << 30, Entry: 256 << 30, Ratio: 200, Entries: 5_000_000, Time: 6 * time.Hour}

// Look looks at all images of a file, or of a directory with an OCI layout. The error is
// the context's, or says that there is no image; what else is wrong is a problem of s.
func Look(ctx context.Context, name string, s *search.Search) error {
	archive, err := open(name)
	if err != nil {
		return err
	}
	defer archive.Close()
	images, err := list(archive)
	if err != nil {
		return err
	}
	s.CountImage(0, 1)
	r := &reader{archive: archive, search: s, lane: s.Lane(), configs: map[string]bool{}, layers: map[string]*tree{}, budget: unpack.NewBudget(limits, s.Options().Now)}
	for _, i := range images {
		base := name
		if len(images) > 1 {
			base += "!" + i.name
		}
		if err := r.image(ctx, base, i); err != nil {
			return err
		}
	}
	return nil
}

// An image is where its parts are in the archive.
type image struct {
	name   string // a tag, or the digest of its configuration
	config string
	layers []string // the first first
}

// list answers the images of an archive.
func list(a archive) ([]image, error) {
	var docker []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	err := readJSON(a, "manifest.json", &docker)
	if err == nil {
		var out []image
		for _, m := range docker {
			i := image{name: strings.Join(m.RepoTags, ","), config: m.Config, layers: m.Layers}
			if i.name == "" {
				i.name = m.Config
			}
			out = append(out, i)
		}
		return enough(out)
	}
	if !errors.Is(err, errMissing) {
		return nil, err
	}
	out, err := listOCI(a, "index.json", "", 0)
	if errors.Is(err, errMissing) {
		return nil, errors.New("it is no image: it has neither manifest.json, as docker save writes, nor index.json, as OCI layouts have")
	}
	if err != nil {
		return nil, err
	}
	return enough(out)
}

func enough(images []image) ([]image, error) {
	if len(images) == 0 {
		return nil, errors.New("it names no image")
	}
	if len(images) > maxImages {
		return nil, fmt.Errorf("it names %d images; at most %d are looked at", len(images), maxImages)
	}
	return images, nil
}

// A descriptor points at another document of a layout.
type descriptor struct {
	Digest      string            `json:"digest"`
	Annotations map[string]string `json:"annotations"`
}

// listOCI answers the images that an index, or a manifest, leads to.
func listOCI(a archive, document, name string, depth int) (out []image, err error) {
	var m struct {
		Manifests []descriptor `json:"manifests"` // of an index
		Config    *descriptor  `json:"config"`    // of a manifest
		Layers    []descriptor `json:"layers"`
	}
	if err := readJSON(a, document, &m); err != nil {
		return nil, err
	}
	if m.Config != nil {
		i := image{name: name, config: blob(m.Config.Digest)}
		for _, l := range m.Layers {
			i.layers = append(i.layers, blob(l.Digest))
		}
		return []image{i}, nil
	}
	if depth == maxNesting {
		return nil, fmt.Errorf("it has more than %d indexes within each other", maxNesting)
	}
	for _, d := range m.Manifests {
		tag := d.Annotations["org.opencontainers.image.ref.name"]
		if tag == "" {
			tag = d.Digest
		}
		below, err := listOCI(a, blob(d.Digest), tag, depth+1)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", d.Digest, err)
		}
		if out = append(out, below...); len(out) > maxImages {
			break
		}
	}
	return out, nil
}

// blob answers the name of a document by its digest, such as "sha256:ab12".
func blob(digest string) string {
	algorithm, hash, _ := strings.Cut(digest, ":")
	return path.Join("blobs", path.Base(algorithm), path.Base(hash))
}

func readJSON(a archive, name string, into any) error {
	r, _, err := a.Open(name)
	if err != nil {
		return err
	}
	defer r.Close()
	content, err := io.ReadAll(io.LimitReader(r, maxDocument+1))
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	if len(content) > maxDocument {
		return fmt.Errorf("reading %s: it has more than %d MiB", name, maxDocument>>20)
	}
	if err := json.Unmarshal(content, into); err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	return nil
}

// A config is what a configuration says that may hold a credential.
type config struct {
	Config struct {
		Env         []string          `json:"Env"`
		Entrypoint  []string          `json:"Entrypoint"`
		Cmd         []string          `json:"Cmd"`
		Labels      map[string]string `json:"Labels"`
		OnBuild     []string          `json:"OnBuild"`
		Healthcheck struct {
			Test []string `json:"Test"`
		} `json:"Healthcheck"`
	} `json:"config"`
	History []struct {
		CreatedBy string `json:"created_by"`
		Comment   string `json:"comment"`
	} `json:"history"`
}

// documents answers what a configuration says as texts that a person would have written.
func (c config) documents() map[string]string {
	var labels, history []string
	for name, value := range c.Config.Labels {
		labels = append(labels, name+"="+value)
	}
	for _, h := range c.History {
		history = append(history, h.CreatedBy, h.Comment)
	}
	commands := []string{strings.Join(c.Config.Entrypoint, " "), strings.Join(c.Config.Cmd, " "), strings.Join(c.Config.Healthcheck.Test, " ")}
	return map[string]string{
		"environment": strings.Join(c.Config.Env, "\n"),
		"labels":      strings.Join(labels, "\n"),
		"command":     strings.Join(append(commands, c.Config.OnBuild...), "\n"),
		"history":     strings.Join(history, "\n"),
	}
}
