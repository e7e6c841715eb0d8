# frozen_string_literal: true

# Starts a Rack app and serves it to the daemon: descriptor 3 listens, descriptor 4 reports (docs/APP-PROTOCOL.md).

require_relative 'flying_passenger/settings'
require_relative 'flying_passenger/events'
require_relative 'flying_passenger/application'

module FlyingPassenger
  # The app may close or replace its standard input.
  OWNER = STDIN.dup
  REPORT = Report.new(4)
  REPORT.loading
  SETTINGS = Settings.take
  # The loader itself needs libraries that also come as gems: Bundler has to choose their versions first.
  REPORT.failures { Application.set_up(SETTINGS) }
end

require_relative 'flying_passenger/server'
require_relative 'flying_passenger/native'
require_relative 'flying_passenger/reactor'

module FlyingPassenger
  LISTEN_FD = 3
  # Why native support is not used, or nil.
  NATIVE = Native.load(SETTINGS.native)

  def self.main
    $stdout.sync = $stderr.sync = true
    $PROGRAM_NAME = "Passenger RubyApp: #{SETTINGS.group}"
    app = REPORT.failures { load_application }
    Server.new(LISTEN_FD, OWNER, app, SETTINGS.threads, NATIVE).run(REPORT)
    PhusionPassenger.call_event(:stopping_worker_process)
    Reactor.stop
  end

  def self.load_application
    app = Application.load(SETTINGS.startup_file)
    PhusionPassenger.call_event(:starting_worker_process, false)
    app
  end
end

FlyingPassenger.main
