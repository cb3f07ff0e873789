/*
 * sql_files - the numbered files of sql/, as they were when the program was
 * built, in order; the last has no name.  Made by tools/embed.
 */
#ifndef SLUICE_SQL_FILES_H
#define SLUICE_SQL_FILES_H

struct sql_file {
	const char *name; /* "001_tables.sql" */
	const char *text;
};

extern const struct sql_file sql_files[];

#endif
