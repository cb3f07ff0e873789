#include "http_bind.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <sluice/http.h>

enum { HTTP_BIND_KEEPALIVE_S = 60, HTTP_BIND_BACKLOG = 1024 };

static bool
parse_address(const char *where, struct sockaddr_storage *addr)
{
	const char *colon = strrchr(where, ':');
	size_t n = colon == NULL ? 0 : (size_t)(colon - where);
	char host[64];
	int64_t port;

	if (n == 0 || n >= sizeof(host) ||
	    !slice_int(slice_str(colon + 1), 65535, &port))
		return false;
	memcpy(host, where, n);
	host[n] = '\0';
	if (strcmp(host, "localhost") == 0)
		strcpy(host, "127.0.0.1");
	if (host[0] != '[')
		return uv_ip4_addr(
			   host, (int)port, (struct sockaddr_in *)addr) == 0;
	if (host[n - 1] != ']')
		return false;
	host[n - 1] = '\0';
	return uv_ip6_addr(host + 1, (int)port, (struct sockaddr_in6 *)addr) ==
	    0;
}

bool
http_is_address(const char *where)
{
	struct sockaddr_storage addr;

	return parse_address(where, &addr);
}

static enum slc_rc
bind_tcp(uv_loop_t *loop, uv_tcp_t *tcp, const char *where, struct slc_err *err)
{
	struct sockaddr_storage addr;
	int rc;

	uv_tcp_init(loop, tcp);
	if (!parse_address(where, &addr))
		return slc_fail(err, SLC_EINPUT,
		    "listen: \"%s\" is none of 127.0.0.1:80, [::1]:80, "
		    "unix:/path (numbers, not a host's name; ports to 65535)",
		    where);
	rc = uv_tcp_bind(tcp, (const struct sockaddr *)&addr, 0);
	if (rc != 0)
		return slc_fail(
		    err, SLC_EIO, "listen %s: %s", where, uv_strerror(rc));
	/* Accepted sockets inherit both, which saves a call for each. */
	uv_tcp_nodelay(tcp, 1);
	uv_tcp_keepalive(tcp, 1, HTTP_BIND_KEEPALIVE_S);
	return SLC_OK;
}

/* A socket file outlives a process that was killed. */
static void
remove_stale(const struct sockaddr_un *addr)
{
	struct stat st;
	int fd;

	if (lstat(addr->sun_path, &st) != 0 || !S_ISSOCK(st.st_mode))
		return;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) != 0 &&
	    errno == ECONNREFUSED)
		unlink(addr->sun_path);
	close(fd);
}

static enum slc_rc
bind_unix(
    uv_loop_t *loop, uv_pipe_t *pipe, const char *path, struct slc_err *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int rc;

	uv_pipe_init(loop, pipe, 0);
	if (strlen(path) >= sizeof(addr.sun_path))
		return slc_fail(err, SLC_EINPUT,
		    "listen unix:%s: over %zu bytes", path,
		    sizeof(addr.sun_path) - 1);
	strcpy(addr.sun_path, path);
	remove_stale(&addr);
	rc = uv_pipe_bind(pipe, path);
	/* Nobody can connect before it listens, so this is in time. */
	if (rc == 0 && chmod(path, 0660) != 0)
		rc = uv_translate_sys_error(errno);
	if (rc != 0)
		return slc_fail(
		    err, SLC_EIO, "listen unix:%s: %s", path, uv_strerror(rc));
	return SLC_OK;
}

enum slc_rc
http_bind(uv_loop_t *loop, union http_handle *handle, const char *where,
    uv_connection_cb on_connection, struct slc_err *err)
{
	enum slc_rc rc;
	int uv_rc;

	if (strncmp(where, "unix:", 5) == 0)
		rc = bind_unix(loop, &handle->pipe, where + 5, err);
	else
		rc = bind_tcp(loop, &handle->tcp, where, err);
	if (rc != SLC_OK)
		return rc;
	uv_rc = uv_listen(&handle->stream, HTTP_BIND_BACKLOG, on_connection);
	if (uv_rc != 0)
		return slc_fail(
		    err, SLC_EIO, "listen %s: %s", where, uv_strerror(uv_rc));
	return SLC_OK;
}

int
http_bind_port(const union http_handle *handle)
{
	struct sockaddr_storage addr;
	int n = sizeof(addr);

	if (handle->any.type != UV_TCP ||
	    uv_tcp_getsockname(&handle->tcp, (struct sockaddr *)&addr, &n) != 0)
		return 0;
	/* The port stands at the same place for IPv4 and IPv6. */
	return ntohs(((const struct sockaddr_in *)&addr)->sin_port);
}

bool
http_bind_peer(const union http_handle *handle, struct sockaddr_storage *addr,
    char text[INET6_ADDRSTRLEN])
{
	int n = sizeof(*addr);

	if (handle->any.type == UV_TCP &&
	    uv_tcp_getpeername(&handle->tcp, (struct sockaddr *)addr, &n) == 0)
		return uv_ip_name((struct sockaddr *)addr, text,
			   INET6_ADDRSTRLEN) == 0;
	strcpy(text, handle->any.type == UV_TCP ? "unknown" : "unix");
	return false;
}
