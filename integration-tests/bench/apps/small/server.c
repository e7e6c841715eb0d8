/* The smallest app: answers each request, below /busy after 200 ms, on one connection at a time, at the socket it is handed. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nhello world\n";

int main(void) {
    char request[16384];
    for (;;) {
        int client = accept(3, 0, 0);
        if (client < 0) return 1;
        ssize_t length = 0, came;
        while ((came = read(client, request + length, sizeof request - 1 - length)) > 0) {
            length += came;
            request[length] = 0;
            if (!strstr(request, "\r\n\r\n")) continue;
            if (!strncmp(request, "GET /busy", 9)) usleep(200 * 1000);
            if (write(client, answer, sizeof answer - 1) < 0) break;
            length = 0;
        }
        close(client);
    }
}
