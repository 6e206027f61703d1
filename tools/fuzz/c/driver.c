/* Runs the harness without libFuzzer: inputs come from standard input, each after its length in four bytes, the lowest
 * first. Writes a byte before each, so that whoever reads knows which one it was that ended the process. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(void) {
    uint8_t head[4];
    while (fread(head, 1, sizeof head, stdin) == sizeof head) {
        const size_t size = head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16 | (size_t)head[3] << 24;
        uint8_t *data = malloc(size ? size : 1); /* a block of its own: the sanitizer watches its ends */
        if (data == NULL || fread(data, 1, size, stdin) != size || write(STDOUT_FILENO, ".", 1) != 1) return 2;
        alarm(SECONDS);
        LLVMFuzzerTestOneInput(data, size);
        alarm(0);
        free(data);
    }
    return 0;
}
