package serve

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
)

// The page is put together once, at the start: one document that asks for
// nothing but the probe's own data.
var (
	//go:embed page/page.html
	pageHTML string
	//go:embed page/page.css
	pageCSS string
	//go:embed page/figures.js
	figuresJS string
	//go:embed page/plot.js
	plotJS string
	//go:embed page/streams.js
	streamsJS string
	//go:embed page/alerts.js
	alertsJS string
	//go:embed page/page.js
	pageJS string
)

// page is the one page, with the policy under which a browser runs it.
type page struct {
	document, policy string
}

func newPage(pictures bool) *page {
	script := figuresJS + plotJS + streamsJS + alertsJS + pageJS
	shown := "off"
	if pictures {
		shown = "on"
	}
	// The texts are ours, so nothing is escaped.
	document := strings.NewReplacer("{{css}}", pageCSS, "{{js}}", script, "{{pictures}}", shown).Replace(pageHTML)
	return &page{
		document: document,
		// The hashes are all that may run: nothing that gets into the page from
		// the status can.
		policy: "default-src 'none'; script-src " + source(script) + "; style-src " + source(pageCSS) +
			"; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'" +
			"; require-trusted-types-for 'script'; trusted-types 'none'",
	}
}

// source is a text in the words of a Content-Security-Policy.
func source(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

func (p *page) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", p.policy)
	h.Set("Content-Length", strconv.Itoa(len(p.document)))
	_, _ = w.Write([]byte(p.document))
}
