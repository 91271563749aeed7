package gateway

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// printable is a slog.Handler that writes control characters, and what else does not
// print, as escapes, so that what a client sent can neither end a line of the log nor
// reach the terminal of who reads it, whatever the handler behind it does.
type printable struct{ slog.Handler }

// newLogger is logger with printable in front.
func newLogger(logger *slog.Logger) *slog.Logger {
	if _, ok := logger.Handler().(printable); ok {
		return logger
	}
	return slog.New(printable{logger.Handler()})
}

// Handle cleans the attributes; the messages are our own.
func (h printable) Handle(ctx context.Context, r slog.Record) error {
	dirty := false
	r.Attrs(func(a slog.Attr) bool {
		_, changed := clean(a)
		dirty = dirty || changed
		return !dirty
	})
	if !dirty {
		return h.Handler.Handle(ctx, r)
	}
	out := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		a, _ = clean(a)
		out.AddAttrs(a)
		return true
	})
	return h.Handler.Handle(ctx, out)
}

// WithAttrs cleans what every record will have.
func (h printable) WithAttrs(attrs []slog.Attr) slog.Handler {
	out := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		out[i], _ = clean(a)
	}
	return printable{h.Handler.WithAttrs(out)}
}

// WithGroup is that of the handler behind.
func (h printable) WithGroup(name string) slog.Handler {
	return printable{h.Handler.WithGroup(name)}
}

// clean returns a with all of its text printable, and whether that changed it.
func clean(a slog.Attr) (slog.Attr, bool) {
	v := a.Value.Resolve()
	text := ""
	switch v.Kind() {
	case slog.KindString:
		text = v.String()
	case slog.KindAny:
		err, ok := v.Any().(error)
		if !ok {
			return a, false
		}
		text = err.Error()
	default:
		return a, false
	}
	if utf8.ValidString(text) && strings.IndexFunc(text, unprintable) < 0 {
		return a, false
	}
	var b strings.Builder
	for len(text) > 0 {
		r, width := utf8.DecodeRuneInString(text)
		if unprintable(r) || r == utf8.RuneError && width == 1 {
			quoted := strconv.Quote(text[:width])
			b.WriteString(quoted[1 : len(quoted)-1])
		} else {
			b.WriteString(text[:width])
		}
		text = text[width:]
	}
	return slog.String(a.Key, b.String()), true
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }
