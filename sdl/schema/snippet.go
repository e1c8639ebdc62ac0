package schema

// starter is a whole document to begin with: one service that anyone can reach.
func starter(version string, compute fields, price any, port fields) snippet {
	return snippet{
		Label:       "SDL " + version + ": a service that anyone can reach",
		Description: "A document with one service, its resources, a placement and a price.",
		Body: fields{
			{"version", "^\"" + version + "\""}, // the sign keeps the quotes
			{"services", fields{{"web", fields{{"image", "nginx:1.27"}, {"expose", []any{port}}}}}},
			{"profiles", fields{
				{"compute", compute},
				{"placement", fields{{"east", fields{{"pricing", fields{{"web", price}}}}}}},
			}},
			{"deployment", fields{{"web", fields{{"east", fields{{"profile", "web"}, {"count", 1}}}}}}},
		},
	}
}

// serviceSnippet is a service to begin with; what is numbered is filled in one after the other.
func serviceSnippet() snippet {
	return snippet{
		Label: "a service", Description: "A service with its image.",
		Body: fields{{"${1:web}", fields{{"image", "${2:nginx:1.27}"}}}},
	}
}
