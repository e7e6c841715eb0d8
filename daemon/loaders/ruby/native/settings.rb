# frozen_string_literal: true

# Prints how a C file is compiled for this interpreter, a word on each line: `passenger-config build-native-support`
# runs it. It uses the standard library only.

unless RUBY_ENGINE == 'ruby'
  puts("refused=#{RUBY_ENGINE} is not supported, only Ruby itself is")
  exit
end
if (RUBY_VERSION.split('.').map(&:to_i) <=> [2, 7]) < 0
  puts("refused=Ruby #{RUBY_VERSION} is not supported, 2.7 and newer are")
  exit
end

require 'rbconfig'
require_relative '../flying_passenger/native_key'

config = RbConfig::CONFIG
include_dirs = config.values_at('rubyarchhdrdir', 'rubyhdrdir')
flags = include_dirs.map { |dir| "-I#{dir}" } + %w[-std=gnu99 -O2 -fPIC -shared -fvisibility=hidden -D_GNU_SOURCE]
puts("key=#{FlyingPassenger::NATIVE_KEY}")
puts("header=#{File.join(config['rubyhdrdir'], 'ruby.h')}")
puts("header=#{File.join(config['rubyarchhdrdir'], 'ruby/config.h')}")
config['CC'].split.each { |word| puts("cc=#{word}") }
flags.each { |word| puts("flag=#{word}") }
