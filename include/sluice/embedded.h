/*
 * embedded - files that travel inside a program, as they were when it was
 * built; the last has no name.  Made by tools/embed.
 */
#ifndef SLUICE_EMBEDDED_H
#define SLUICE_EMBEDDED_H

struct embedded {
	const char *name; /* "001_tables.sql" */
	const char *text;
};

extern const struct embedded sql_files[];    /* sql/, in order */
extern const struct embedded preset_files[]; /* presets/ */

#endif
