#include "core/pickle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace treadle::core {
namespace {

using namespace std::string_literals;
using ::testing::HasSubstr;

std::string number(std::uint64_t value, int bytes) {
  std::string text;
  for (; bytes; --bytes, value >>= 8) text += static_cast<char>(value);
  return text;
}
std::string short_str(const std::string& text) { return "\x8c" + number(text.size(), 1) + text; }
std::string p4(const std::string& ops) { return "\x80\x04" + ops; }
std::string global(const std::string& module, const std::string& name) {
  return short_str(module) + short_str(name) + "\x93";
}

std::string refusal(const std::string& bytes) {
  const auto result = verify_pickle(bytes);
  return result ? "accepted" : result.error().message;
}
PickleReport accepted(const std::string& bytes) {
  const auto result = verify_pickle(bytes);
  EXPECT_TRUE(result) << (result ? "" : result.error().message);
  return result.value_or(PickleReport{});
}

TEST(Pickle, RootsOfPlainDataAreNamed) {
  const std::pair<std::string, std::string_view> roots[] = {{"N.", "None"},
                                                            {"\x88.", "bool"},
                                                            {"K\x07.", "int"},
                                                            {"\x8a\x20" + std::string(32, '\1') + ".", "int"},
                                                            {"G\x3f\xf0\0\0\0\0\0\0."s, "float"},
                                                            {short_str("hi") + ".", "str"},
                                                            {"C\x02hi.", "bytes"},
                                                            {"\x96\x02\0\0\0\0\0\0\0hi."s, "bytearray"},
                                                            {"].", "list"},
                                                            {").", "tuple"},
                                                            {"}.", "dict"},
                                                            {"\x8f.", "set"},
                                                            {"(\x91.", "frozenset"}};
  for (const auto& [ops, name] : roots) {
    const PickleReport report = accepted(p4(ops));
    EXPECT_EQ(kind_name(report.root), name);
    EXPECT_TRUE(report.only_data);
    EXPECT_EQ(report.facts.protocol, 4);
    const auto checked = check_function(report);
    ASSERT_FALSE(checked) << name;
    EXPECT_EQ(checked.error().message, "the payload is a pickled " + std::string(name) + ", not a function");
  }
}

TEST(Pickle, ArgumentsAreAPairOfTupleAndDict) {
  EXPECT_TRUE(accepted(p4("K\x01K\x02\x86}\x86.")).is_args);
  EXPECT_TRUE(accepted(p4(")}\x94\x86\x94.")).is_args);
  EXPECT_FALSE(accepted(p4("K\x02\x85\x85.")).is_args);
  EXPECT_FALSE(accepted(p4("K\x01}\x86.")).is_args);
  EXPECT_FALSE(accepted(p4(")}}\x87.")).is_args);
}

TEST(Pickle, ReferencesAndCallsMayBeFunctions) {
  PickleReport report = accepted(p4(global("tests.test_webservice", "double") + "."));
  EXPECT_EQ(report.root, RootKind::Global);
  EXPECT_FALSE(report.only_data);
  EXPECT_FALSE(report.facts.names_main);
  EXPECT_TRUE(check_function(report));
  report = accepted(p4(global("functools", "partial") + global("m", "f") + "\x85R."));
  EXPECT_EQ(report.root, RootKind::Call);
  EXPECT_TRUE(check_function(report));
  EXPECT_EQ(accepted(p4(global("dill._dill", "_create_function") + ")R.")).root, RootKind::Function);
}

TEST(Pickle, LibrariesAndMainAreSeen) {
  const auto facts = [](const std::string& ops) { return accepted(p4(ops + ".")).facts; };
  EXPECT_TRUE(facts(global("__main__", "f")).names_main);
  EXPECT_TRUE(facts("c__main__\nf\n").names_main);
  EXPECT_TRUE(facts("c__builtin__\n__main__\n").names_main);
  EXPECT_TRUE(facts(global("dill._dill", "_import_module") + short_str("__main__") + "\x85R").names_main);
  EXPECT_TRUE(facts(short_str("__main__") +
                    "\x94"
                    "0h\x00"s +
                    short_str("f") + "\x93")
                  .names_main);
  EXPECT_FALSE(facts(short_str("__main__")).names_main);
  EXPECT_FALSE(facts("c__mp_main__\nf\n").names_main);
  EXPECT_TRUE(facts("cdill._dill\n_create_cell\n").names_dill);
  EXPECT_TRUE(facts("cdill\nloads\n").names_dill);
  EXPECT_FALSE(facts("cdillinger\nloads\n").names_dill);
  EXPECT_TRUE(facts(global("cloudpickle.cloudpickle", "_make_cell")).names_cloudpickle);
  EXPECT_FALSE(facts("cmy.cloudpickle\nf\n").names_cloudpickle);
}

std::string bytes_op(const std::string& bytes) { return "C" + number(bytes.size(), 1) + bytes; }

// Six numbers, the bytecode, then `after` values, of which the seventh is the line table.
std::string code_call(const std::string& maker, const std::string& before, const std::string& bytecode, int after,
                      const std::string& lines = "") {
  std::string ops = maker + "(" + before;
  for (int i = 0; i < 6; ++i) ops += "K\x01";
  ops += bytes_op(bytecode);
  for (int i = 0; i < after; ++i) ops += i == 6 ? bytes_op(lines) : ")";
  return p4(ops + "tR.");
}

// Those that `bytes` may be of: "8,9"; "" where it does not tell.
std::string pythons(const std::string& bytes) {
  const PayloadFacts facts = accepted(bytes).facts;
  std::string all;
  for (int minor = kFirstPython; facts.pythons != 0 && minor <= kLastPython; ++minor) {
    if (facts.fits_python(minor)) all += (all.empty() ? "" : ",") + std::to_string(minor);
  }
  return all;
}

TEST(Pickle, PythonsOfACodeObjectAreTold) {
  const std::string dill = global("dill._dill", "_create_code");
  const std::string cloud = global("cloudpickle.cloudpickle", "_builtin_type") + short_str("CodeType") + "\x85R";
  EXPECT_EQ(pythons(code_call(cloud, "", "\x97\0\x74\1\0\0\0\0\0\0\0\0\0\0S\0"s, 11)),
            "11");  // LOAD_GLOBAL with 5 units of cache
  EXPECT_EQ(pythons(code_call(cloud, "", "\x97\0\x74\1\0\0\0\0\0\0\0\0S\0"s, 11)), "12");  // with 4
  EXPECT_EQ(pythons(code_call(cloud, "", "\x95\0\x58\0$\0"s, 11)), "13");
  EXPECT_EQ(pythons(code_call(cloud, "", "\x97\0\x7c\0S\0"s, 11)), "11,12") << "they write this alike";
  EXPECT_EQ(pythons(code_call(dill, "C\0"s, "\x97\0\x79\1"s, 11)), "12");  // RETURN_CONST
  EXPECT_EQ(pythons(code_call(cloud, "", "\x80\0\x52\0\x23\0"s, 11)), "14,15") << "of none that is known";
  EXPECT_EQ(pythons(code_call(global("m", "f"), "C\0"s, "\x97\0\x79\1"s, 11)), "") << "no code object";
}

TEST(Pickle, PythonsBefore311AreToldByOpcodesAndLineTable) {
  const std::string dill = global("dill._dill", "_create_code");
  const std::string plain = "\x7c\0S\0"s, is_op = "\x7c\0\x7c\1\x75\0S\0"s;  // IS_OP came with 3.9
  EXPECT_EQ(pythons(code_call(dill, "", plain, 9, "")), "8,9") << "3.8 and 3.9 write this alike";
  EXPECT_EQ(pythons(code_call(dill, "", plain, 9, "\0\1"s)), "8,9");
  EXPECT_EQ(pythons(code_call(dill, "", plain, 9, "\4\1"s)), "10") << "all of the code is covered";
  EXPECT_EQ(pythons(code_call(dill, "C\0"s, plain, 9)), "10") << "dill adds a field to those";
  EXPECT_EQ(pythons(code_call(dill, "", is_op, 9, "\0\1"s)), "9");
  EXPECT_EQ(pythons(code_call(dill, "", "\x35\0\xa2\2S\0\x58\0S\0"s, 9, "\0\1"s)), "8") << "BEGIN_FINALLY";
  EXPECT_EQ(pythons(code_call(dill, "", "\x67\0\x7c\0\xa2\1S\0"s, 9, "\0\1"s)), "9") << "LIST_EXTEND, not CALL_FINALLY";
}

TEST(Pickle, RefusalsNameOpcodeAndOffset) {
  EXPECT_EQ(refusal(""), "the payload is not a sound pickle: it is empty");
  EXPECT_THAT(refusal("hello"), HasSubstr("it begins with byte 0x68, not with PROTO"));
  EXPECT_THAT(refusal(p4("Px\n.")), HasSubstr("opcode 0x50 (PERSID) at offset 2 is not allowed"));
  EXPECT_THAT(refusal(p4("N\x01.")), HasSubstr("byte 0x01, which is no opcode, at offset 3"));
  EXPECT_THAT(refusal("\x80\x01N."), HasSubstr("protocol that is not 2 to 5"));
  EXPECT_THAT(refusal("\x80\x06N."), HasSubstr("protocol that is not 2 to 5"));
  EXPECT_THAT(refusal(p4("N")), HasSubstr("ends at offset 3 before STOP"));
  EXPECT_THAT(refusal(p4("J\x01\x02")), HasSubstr("(BININT) at offset 2 is cut off"));
  EXPECT_THAT(refusal(p4("N.N")), HasSubstr("bytes follow STOP at offset 4"));
  EXPECT_THAT(refusal(p4("G")), HasSubstr("(BINFLOAT) at offset 2 is cut off"));
  EXPECT_THAT(refusal("G\0\0\0\0\0\0\0\0."s), HasSubstr("it begins with byte 0x47"));
}

TEST(Pickle, WhatNoReaderHereCouldServeIsRefused) {
  for (const unsigned char op : {'I', 'L', 'F', 'S', 'T', 'U', 'V', 'g', 'p', 'i', 'o', 'l', 'd', 'P', 'Q'}) {
    EXPECT_THAT(refusal(p4(std::string("(N") + static_cast<char>(op) + "0\n.")), HasSubstr("is not allowed")) << op;
  }
  for (const char* op : {"\x82\x01", "\x83\x01\x01", "\x84\x01\x01\x01\x01", "\x97", "\x98"}) {
    EXPECT_THAT(refusal(p4(std::string("N") + op + ".")), HasSubstr("is not allowed"));
  }
}

TEST(Pickle, StackMarksAndMemoAreKeptInOrder) {
  const std::pair<std::string, const char*> faults[] = {{".", "more values than there are"},
                                                        {"NN.", "leaves more than one value"},
                                                        {"(N.", "leaves a MARK open"},
                                                        {"N\x86.", "(TUPLE2) at offset 3 takes more"},
                                                        {"N(\x85.", "takes more"},
                                                        {"Nt.", "needs a MARK"},
                                                        {"00", "takes more"},
                                                        {"h\0."s, "not set"},
                                                        {"\x94", "no value"},
                                                        {"(\x94", "no value"},
                                                        {"Nq\1."s, "gap"},
                                                        {"Nr\xff\xff\xff\x7f.", "gap"},
                                                        {"]NNs.", "no dict"},
                                                        {"}Na.", "no list"},
                                                        {"](Nu.", "odd number"},
                                                        {"}(NNe.", "no list"},
                                                        {"\x8f(]\x90.", "cannot be hashed"},
                                                        {"}]Ns.", "cannot be hashed"},
                                                        {"}(NN}Nu.", "cannot be hashed"},
                                                        {"N)R.", "no callable"},
                                                        {"cm\nf\nNR.", "tuple of arguments"},
                                                        {"N)\x81.", "needs a class"},
                                                        {"]}b.", "state"},
                                                        {"NN\x93.", "two strings"},
                                                        {short_str("") + short_str("f") + "\x93.", "empty or too long"},
                                                        {"cm\n\n.", "no module or attribute"},
                                                        {"cm\\x\nf\n.", "no module or attribute"},
                                                        {"c" + std::string(3000, 'm'), "too long"},
                                                        {"\x80\4N."s, "not only at the beginning"}};
  for (const auto& [ops, why] : faults) EXPECT_THAT(refusal(p4(ops)), HasSubstr(why)) << testing::PrintToString(ops);
}

TEST(Pickle, AtomsThatShareAPlaceCountOneByOne) {
  EXPECT_EQ(accepted(p4("NNN\x87.")).root, RootKind::Tuple);
  EXPECT_EQ(accepted(p4("NNN\x86\x86.")).root, RootKind::Tuple);
  EXPECT_EQ(accepted(p4("NN]\x87.")).root, RootKind::Tuple);
  EXPECT_EQ(accepted(p4("NNN]\x87\x86.")).root, RootKind::Tuple);
  EXPECT_EQ(accepted(p4("NN00K\1."s)).root, RootKind::Int);
  EXPECT_EQ(accepted(p4("}(NNNNu.")).root, RootKind::Dict);
  EXPECT_THAT(refusal(p4("}(NNNu.")), HasSubstr("odd"));
  EXPECT_THAT(refusal(p4("NN\x87.")), HasSubstr("takes more"));
  EXPECT_THAT(refusal(p4("N(NN1N.")), HasSubstr("more than one"));
  EXPECT_EQ(accepted(p4("N(NN10N.")).root, RootKind::None);
}

TEST(Pickle, FramesEndAtOpcodesAndNotInsideEachOther) {
  const auto frame = [](std::uint64_t size) { return "\x95" + number(size, 8); };
  EXPECT_EQ(accepted(p4(frame(2) + "N.")).root, RootKind::None);
  EXPECT_EQ(accepted(p4(frame(2) + "NN" + frame(2) + "N\x87" + ".")).root, RootKind::Tuple);
  EXPECT_THAT(refusal(p4(frame(3) + "N.")), HasSubstr("before the end of its frame"));
  EXPECT_THAT(refusal(p4(frame(3) + "K\1K\1\x86."s)), HasSubstr("(BININT1) at offset 13 crosses the end of its frame"));
  EXPECT_THAT(refusal(p4(frame(20) + frame(2) + "N.")), HasSubstr("frame inside a frame"));
  EXPECT_THAT(refusal(p4(frame(1ull << 63) + "N.")), HasSubstr("declares more bytes"));
  EXPECT_THAT(refusal(p4(frame(5) + "\x8c\x09" + "123456789.")), HasSubstr("crosses"));
}

TEST(Pickle, LengthsAreCheckedAgainstTheBytesThatCome) {
  EXPECT_THAT(refusal(p4("\x8e" + number(1ull << 62, 8))), HasSubstr("(BINBYTES8) at offset 2 declares more"));
  EXPECT_THAT(refusal(p4("\x8e" + number(1ull << 31, 8) + "x")), HasSubstr("(BINBYTES8) at offset 2 is cut off"));
  EXPECT_THAT(refusal(p4("\x96" + number(5000, 8) + std::string(4999, 'x'))),
              HasSubstr("(BYTEARRAY8) at offset 2 is cut off"));
  EXPECT_THAT(refusal(p4("\x8b\xff\xff\xff\xff")), HasSubstr("(LONG4) at offset 2 declares more"));
  EXPECT_EQ(accepted(p4("B" + number(5000, 4) + std::string(5000, 'x') + ".")).root, RootKind::Bytes);
}

TEST(Pickle, TextIsUtf8WithLoneSurrogates) {
  const std::string pad(5000, 'a');
  for (const std::string text : {"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xed\xa0\x80", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_EQ(accepted(p4(short_str(text) + ".")).root, RootKind::Str);
    EXPECT_EQ(accepted(p4("X" + number(pad.size() + text.size(), 4) + pad + text + ".")).root, RootKind::Str);
  }
  for (const std::string text :
       {"\xc3", "\xc0\x80", "\x80", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xff", "\xe2\x82"}) {
    EXPECT_THAT(refusal(p4(short_str(text) + ".")), HasSubstr("(SHORT_BINUNICODE) at offset 2 is not UTF-8"));
    EXPECT_THAT(refusal(p4("X" + number(pad.size() + text.size(), 4) + pad + text + ".")),
                HasSubstr("(BINUNICODE) at offset 2 is not UTF-8"));
  }
}

// Each level is a tuple of ten times the level below, which the memo shares.
std::string laughs(int levels, const std::string& bottom) {
  std::string ops = bottom + "\x94";
  for (int level = 0; level < levels; ++level) {
    ops += "0(";
    for (int i = 0; i < 10; ++i) ops += "h" + number(static_cast<std::uint64_t>(level), 1);
    ops += "t\x94";
  }
  return ops;
}

TEST(Pickle, BillionLaughsAreRefusedAndPlainSharingIsNot) {
  EXPECT_THAT(refusal(p4(laughs(9, short_str("lol")) + ".")), HasSubstr("shares values inside shared values"));
  EXPECT_EQ(accepted(p4(laughs(5, short_str("lol")) + ".")).root, RootKind::Tuple);
  std::string lists = "]\x94]\x94]\x94]\x94]\x94]\x94]\x94]\x94]\x94]\x94";
  for (int level = 9; level > 0; --level) {
    lists += "(";
    for (int i = 0; i < 10; ++i) lists += level == 9 ? "N" : "h" + number(static_cast<std::uint64_t>(level + 1), 1);
    lists += "e0";
  }
  EXPECT_THAT(refusal(p4(lists + "(h\1h\1e."s)), HasSubstr("shares values inside shared values"));
  std::string million = p4(short_str("x") +
                           "\x94"
                           "0](");
  for (int i = 0; i < 1'000'000; ++i) million += "h\0"s;
  EXPECT_EQ(accepted(million + "e.").root, RootKind::List);
}

TEST(Pickle, HashingIsBounded) {
  EXPECT_THAT(refusal(p4("}" + laughs(7, short_str("k")) + "Ns.")), HasSubstr("hashes more shared values"));
  EXPECT_EQ(accepted(p4("}" + laughs(4, short_str("k")) + "Ns.")).root, RootKind::Dict);
  std::string deep(100'000, '\x85');
  EXPECT_EQ(accepted(p4("N" + deep + ".")).root, RootKind::Tuple) << "only hash() recurses";
  EXPECT_THAT(refusal(p4("}N" + deep + "Ns.")), HasSubstr("nested deeper"));
  EXPECT_EQ(accepted(p4("}N" + deep.substr(0, 9000) + "Ns.")).root, RootKind::Dict);
  EXPECT_THAT(refusal(p4("(N" + deep + "\x91.")), HasSubstr("nested deeper"));
}

TEST(Pickle, CyclesWeighNothing) {
  std::string parents = p4("]\x94(");  // a list whose million items are lists that hold their parent
  for (int batch = 0; batch < 1000; ++batch) {
    for (int i = 0; i < 1000; ++i) parents += "]h\0a"s;
    parents += batch < 999 ? "e(" : "e";
  }
  EXPECT_EQ(accepted(parents + ".").root, RootKind::List);
}

TEST(Pickle, CutsDoNotChangeTheVerdict) {
  const std::string samples[] = {p4("\x95" + number(28, 8) + short_str("__main__") + "\x94" + short_str("f") +
                                    "\x94\x93\x94(K\1G\0\0\0\0\0\0\0\0t\x94R."s),
                                 p4("cdill._dill\n_create_function\n)R."),
                                 p4("X" + number(5000, 4) + std::string(4999, 'a') + "\xc3."),
                                 p4("B" + number(5000, 4) + std::string(5000, 'a') + "."),
                                 p4("G\0\0\0\0\0\0\0\0G\0\0\0\0\0\0\0\0\x86."s),
                                 p4("(N"),
                                 p4("N.."),
                                 p4("X" + number(4098, 4) + std::string(4096, 'a') + "\xc3\xa9.")};
  for (const std::string& bytes : samples) {
    const auto whole = verify_pickle(bytes);
    PickleVerifier verifier;
    for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
      verifier.reset();
      verifier.feed(std::string_view(bytes).substr(0, cut));
      verifier.feed(std::string_view(bytes).substr(cut));
      const auto parts = verifier.finish();
      ASSERT_EQ(parts.has_value(), whole.has_value()) << cut;
      if (whole)
        EXPECT_EQ(*parts, *whole) << cut;
      else
        EXPECT_EQ(parts.error().message, whole.error().message) << cut;
    }
  }
}

TEST(Pickle, AVerifierIsUsedAgainAfterReset) {
  PickleVerifier verifier;
  EXPECT_FALSE(verifier.feed("no pickle"));
  EXPECT_FALSE(verifier.finish());
  verifier.reset();
  EXPECT_TRUE(verifier.feed(p4("N.")));
  EXPECT_TRUE(verifier.finish());
}

}  // namespace
}  // namespace treadle::core
