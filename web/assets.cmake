# Makes the files that are carried inside the program: compresses ours, and Swagger UI's if npm can bring it.
# Run by the build: cmake -DWEB=<this folder> -DOUT=<folder> -DNPM=<npm or empty> -DREQUIRE=<ON|OFF> -P assets.cmake
# Leaves in OUT one NAME.gz for each file; those of Swagger UI are empty if it could not be had.

function(compress from to)
  execute_process(COMMAND gzip -9 -n -c ${from} OUTPUT_FILE ${to} RESULT_VARIABLE failed)
  if(failed)
    message(FATAL_ERROR "gzip could not compress ${from}")
  endif()
endfunction()

file(MAKE_DIRECTORY ${OUT}/npm)
foreach(name home.html home.js docs.html docs.js docs.css icon.svg)
  compress(${WEB}/${name} ${OUT}/${name}.gz)
endforeach()

set(why "there is no npm")
if(NPM)
  file(COPY ${WEB}/package.json ${WEB}/package-lock.json DESTINATION ${OUT}/npm)
  # No script of a package is run; the lock file's hashes decide what is accepted.
  execute_process(
    COMMAND ${NPM} ci --ignore-scripts --no-audit --no-fund --loglevel=error --fetch-retries=1 --fetch-timeout=20000
    WORKING_DIRECTORY ${OUT}/npm RESULT_VARIABLE failed OUTPUT_VARIABLE output ERROR_VARIABLE output TIMEOUT 120)
  set(why "")
  if(failed)
    set(why "npm could not bring swagger-ui-dist:\n${output}")
  endif()
endif()

foreach(name swagger-ui.css swagger-ui-bundle.js)
  if(why)
    file(WRITE ${OUT}/${name}.gz "")
  else()
    compress(${OUT}/npm/node_modules/swagger-ui-dist/${name} ${OUT}/${name}.gz)
  endif()
endforeach()

if(why AND REQUIRE)
  message(FATAL_ERROR "Swagger UI is required (TREADLE_REQUIRE_WEB=ON), but ${why}")
elseif(why)
  message(WARNING "\n"
    "  *** /docs will be a plain page without Swagger UI: ${why}\n"
    "  *** To have it: install npm, see that it reaches its registry, delete ${OUT} and build again.\n")
endif()
