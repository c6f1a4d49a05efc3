// What a function finds around it: environment variables, secrets by name, and packages that it requires. As one JSON
// text it travels with each task (core/allowance.h):
// {"env":{"MODE":"fast"},"secrets":["DB_PASSWORD"],"requirements":["numpy"]}.
#pragma once

#include <string>
#include <string_view>

#include "gateway/fields.h"
#include "gateway/json_writer.h"

namespace treadle::gateway {

// Of the fields "env", "secrets" and "requirements"; "" if there are none. What is wrong with them is told to `fields`.
std::string read_surroundings(FieldReader& fields);
// Variables of the call take the place of equal ones of its function; it gets the secrets of both,
// and the requirements of the call if it has any.
std::string join_surroundings(std::string_view of_function, std::string_view of_call);
// Writes them as members, if they are there.
void write_surroundings(JsonWriter& to, std::string_view surroundings);

}  // namespace treadle::gateway
