/*
 * curl_loop URL BODY-FILE REQUESTS IN-FLIGHT: the least a libcurl client does.
 *
 * Posts the same body over and over with so many calls in flight on kept
 * connections, reads the answers and forgets them.  Prints requests a second
 * and its own CPU microseconds for each.
 */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static char body[1 << 20];
static size_t body_n;

static size_t
ignore(char *p, size_t size, size_t n, void *arg)
{
	(void)p;
	(void)arg;
	return size * n;
}

static double
seconds(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int
main(int argc, char **argv)
{
	long total, most, sent = 0, done = 0, failed = 0;
	struct curl_slist *headers = NULL;
	CURLM *multi;
	double begun;
	FILE *f;

	if (argc != 5 || (f = fopen(argv[2], "rb")) == NULL) {
		fputs("usage: curl_loop URL BODY-FILE REQUESTS IN-FLIGHT\n",
		    stderr);
		return 2;
	}
	body_n = fread(body, 1, sizeof(body), f);
	fclose(f);
	total = atol(argv[3]);
	most = atol(argv[4]);
	curl_global_init(CURL_GLOBAL_DEFAULT);
	multi = curl_multi_init();
	curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, most);
	headers = curl_slist_append(headers, "Content-Type: application/json");
	headers = curl_slist_append(headers, "Expect:");
	begun = seconds(CLOCK_MONOTONIC);
	while (done < total) {
		int running, left;
		CURLMsg *msg;

		while (sent < total && sent - done < most) {
			CURL *e = curl_easy_init();

			curl_easy_setopt(e, CURLOPT_URL, argv[1]);
			curl_easy_setopt(e, CURLOPT_HTTPHEADER, headers);
			curl_easy_setopt(e, CURLOPT_POSTFIELDS, body);
			curl_easy_setopt(
			    e, CURLOPT_POSTFIELDSIZE, (long)body_n);
			curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, ignore);
			curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
			curl_multi_add_handle(multi, e);
			sent++;
		}
		curl_multi_perform(multi, &running);
		while ((msg = curl_multi_info_read(multi, &left)) != NULL) {
			CURL *e = msg->easy_handle;

			failed += msg->data.result != CURLE_OK;
			done++;
			curl_multi_remove_handle(multi, e);
			curl_easy_cleanup(e);
		}
		if (done < total && running > 0)
			curl_multi_poll(multi, NULL, 0, 100, NULL);
	}
	printf("%.0f requests/s %.1f us/request %ld failed\n",
	    (double)total / (seconds(CLOCK_MONOTONIC) - begun),
	    seconds(CLOCK_PROCESS_CPUTIME_ID) / (double)total * 1e6, failed);
	curl_multi_cleanup(multi);
	curl_slist_free_all(headers);
	return failed > 0;
}
