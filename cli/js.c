#include "js.h"

#include <string.h>

json_t *
js_at(const json_t *object, const char *name)
{
	const char *dot;

	while (object != NULL && (dot = strchr(name, '.')) != NULL) {
		object = json_object_getn(object, name, (size_t)(dot - name));
		name = dot + 1;
	}
	return json_object_get(object, name);
}

const char *
js_text(const json_t *object, const char *name)
{
	const char *s = json_string_value(js_at(object, name));

	return s != NULL ? s : "";
}

int64_t
js_int(const json_t *object, const char *name)
{
	return json_integer_value(js_at(object, name));
}

double
js_num(const json_t *object, const char *name)
{
	return json_number_value(js_at(object, name));
}
