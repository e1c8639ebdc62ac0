package compile

import (
	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/akinon"
	"berth.dev/berth/sdl/app"
	"berth.dev/berth/sdl/jsonc"
)

func init() {
	frontEnds[akinon.Format] = readAkinon
	Formats = append(Formats, akinon.Format)
}

func readAkinon(r *sdl.Reporter, m manifest) *app.App {
	root := jsonc.Parse(r, m.Data, jsonc.Options{Drop: []string{akinon.Placeholder}})
	if root == nil {
		return nil
	}
	return akinon.Read(r, root, akinon.Input{
		Procfile: m.procfile, HasProcfile: m.hasProcfile, ProcfileName: m.beside(Procfile), Overlay: m.overlay,
		Given: m.Given, File: m.Tree, NoHealthcheck: m.NoHealthcheck, Skip: m.SkipAddons,
	})
}
