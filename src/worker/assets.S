/* Files that the binary carries. .incbin takes no time; a C array of the same bytes costs the compiler seconds. CMake knows
   the file behind it through OBJECT_DEPENDS (CMakeLists.txt), so that a change of it rebuilds this. */
  .section .rodata
  .global treadle_executor_begin
  .global treadle_executor_end
treadle_executor_begin:
#include "executor_parts.inc"
treadle_executor_end:
  .byte 0
  .section .note.GNU-stack, "", %progbits
